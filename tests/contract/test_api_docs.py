"""The document as a generic client uses it, and the page over it: its policy, and what it does in a real browser."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from jsonschema import Draft7Validator
from werkzeug.serving import WSGIRequestHandler, make_server

from api.methods.table import METHODS
from domain.ids import Address, PoolId
from tests.support.api_kit import THREAD_ID, Api, make_api
from tests.support.browser import browser, chromium
from tests.support.store_kit import sample_pool, thread_config

SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
POOL_ID = PoolId("9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin")  # an address, as the schemas demand
ADDRESS = "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs"
ADDRESSES = ("owner", "mint_a", "mint_b", "vault_a", "vault_b", "lp_mint_a", "lp_mint_b")
KEY = "a-key-of-this-test-only-0123456789"


@pytest.fixture(name="api", scope="module")
def api_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    client: Any = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    folder = tmp_path_factory.mktemp("data")
    api = make_api(client, max_waiting_requests=0, api_keys=f"test:full:{KEY}", data_dir=folder)
    addresses = {name: Address(ADDRESS) for name in ADDRESSES}
    api.store.put_pool(sample_pool(POOL_ID, **addresses))
    api.store.create_thread(thread_config(THREAD_ID, pool_id=POOL_ID, wallet=Address(ADDRESS)), "v1:sealed", ready=True)
    yield api
    client.close()


class GenericClient:
    """Knows nothing but an OpenRPC document: which parameters a method takes, and what its result must look like."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.document = self._post("rpc.discover", {})["result"]
        self.methods = {method["name"]: method for method in self.document["methods"]}

    def _post(self, method: str, params: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._api.client.post("/rpc", json=body, headers={"X-API-Key": KEY})
        assert answer.status_code == 200
        return dict(answer.get_json())

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        found: Any = self.document
        for step in part.get("$ref", "").removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)

    def call(self, name: str, **given: Any) -> dict[str, Any]:
        """The answer, held to the document: a result to its schema, an error to the codes that are named."""
        method = self.methods[name]
        known = {param["name"]: param for param in method["params"]}
        assert set(given) <= set(known)
        assert {param for param, about in known.items() if about["required"]} <= set(given)
        for param, value in given.items():
            Draft7Validator(known[param]["schema"]).validate(value)
        answer = self._post(name, given)
        if "result" in answer:
            schema = method["result"]["schema"] | {"components": self.document["components"]}
            Draft7Validator(schema | self._resolved(method["result"]["schema"])).validate(answer["result"])
        else:
            assert answer["error"]["code"] in {self._resolved(error)["code"] for error in method["errors"]}, answer
        return answer


@pytest.fixture(name="generic", scope="module")
def generic_fixture(api: Api) -> GenericClient:
    return GenericClient(api)


def test_a_generic_client_finds_every_method(generic: GenericClient) -> None:
    assert set(generic.methods) == {method.name for method in METHODS}


@pytest.mark.parametrize("name", [method.name for method in METHODS])
def test_a_generic_client_calls_every_method_by_its_example(generic: GenericClient, name: str) -> None:
    """What the example names does not exist here, so many answer with one of the errors that they document."""
    examples = generic.methods[name].get("examples", [])
    params = {one["name"]: one["value"] for one in examples[0]["params"]} if examples else {}
    if "thread_id" in {param["name"] for param in generic.methods[name]["params"] if param["required"]}:
        params.setdefault("thread_id", THREAD_ID)
    generic.call(name, **params)


def test_a_generic_client_gets_results_that_fit(generic: GenericClient) -> None:
    threads = generic.call("list_threads", kind="deposit", limit=1)
    assert threads["result"]["total"] == 1


def test_the_page_stands_alone_and_may_do_nothing_else(api: Api) -> None:
    answer = api.client.get("/docs")  # without a key: it is asked for on the page
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/html")
    text = answer.get_data(as_text=True)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert KEY not in text


class Quiet(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        pass


@pytest.fixture(name="url")
def url_fixture(api: Api) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, api.client.application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.skipif(chromium() is None, reason="needs Chromium")
def test_the_page_lists_finds_and_calls_methods(url: str) -> None:
    with browser() as chrome:
        page = chrome.page()
        page.size(1100, 900)
        page.open(f"{url}/docs")
        page.until("document.querySelector('#state').textContent.includes('API key')", "the question for a key")
        page.problems.clear()  # the browser notes that the first call was refused: no key had been given
        page.run("document.querySelector('#key').focus()")
        page.write(KEY)
        page.run("document.querySelector('#key').blur()")
        page.until(f"document.querySelectorAll('.method').length === {len(METHODS)}", "every method")
        assert page.run("document.querySelectorAll('#errors tr').length") > 10

        page.run("document.querySelector('#find').focus()")
        page.write("list_pools")
        page.until("document.querySelectorAll('.method:not([hidden])').length === 1", "the method that is looked for")
        open_it = "document.querySelector('#method-list_pools summary')"
        page.click(open_it)
        page.click("document.querySelector('#method-list_pools button')")
        shown = "document.querySelector('#method-list_pools pre').textContent"
        page.until(f"{shown}.includes({json.dumps(POOL_ID)})", "the pool")
        assert str(2**64 - 1) in page.run(shown)  # larger than a script's numbers: shown to the last digit
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            page.screenshot(SHOTS / f"docs-{scheme}.png", whole=False)
        problems = page.problems
        page.close()
    assert problems == []
