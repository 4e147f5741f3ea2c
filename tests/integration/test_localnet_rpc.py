"""The JSON-RPC surface by raw HTTP: batches, encodings, paging, context slots and the real error objects."""

from __future__ import annotations

import http.client
import json
import socket
from base64 import b64decode, b64encode
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from websockets.sync.client import connect

from tests.support.localnet import (
    Localnet,
    LocalnetError,
    funded,
    latest_blockhash,
    running_localnet,
    send,
    transfer_of,
    wait_for,
    wait_landed,
    wire,
)

SOL = 1_000_000_000
TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
CONFIRMED = {"commitment": "confirmed"}


@pytest.fixture(scope="module")
def chain() -> Iterator[Localnet]:
    with running_localnet(slot_ms=20, finalized_lag=64, no_program=True, airdrop_cap_sol=100) as running:
        yield running


def refusal(chain: Localnet, method: str, *params: object) -> LocalnetError:
    with pytest.raises(LocalnetError) as refused:
        chain.call(method, *params)
    return refused.value


def test_a_batch_answers_every_call_by_its_id(chain: Localnet) -> None:
    document = [
        {"jsonrpc": "2.0", "id": "a", "method": "getSlot"},
        {"jsonrpc": "2.0", "id": 7, "method": "noSuchMethod"},
        {"jsonrpc": "2.0", "id": None, "method": "getBalance", "params": ["x"]},
        {"jsonrpc": "2.0", "method": "getSlot"},
        3,
    ]
    status, body = chain.post(document)
    answers = json.loads(body)
    assert (status, [answer["id"] for answer in answers]) == (200, ["a", 7, None, None])
    assert isinstance(answers[0]["result"], int)
    assert [answer["error"]["code"] for answer in answers[1:]] == [-32601, -32602, -32600]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"[]", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"getSlot"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"nothing"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"getSlot","params":{"commitment":"confirmed"}}', -32602),
    ],
)
def test_malformed_requests_get_their_codes(chain: Localnet, body: bytes, code: int) -> None:
    status, answer = chain.post(body)
    assert (status, json.loads(answer)["error"]["code"]) == (200, code)


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("getBalance", [], "`params` should have at least 1 argument(s)"),
        ("getBalance", ["abc"], "Invalid param: WrongSize"),
        ("getBalance", ["0OIl"], "Invalid param: Invalid"),
        ("getBalance", [TOKEN_PROGRAM, {"commitment": "soon"}], "unknown variant `soon`"),
        ("getAccountInfo", [TOKEN_PROGRAM, {"encoding": "hex"}], "unknown variant `hex`"),
        ("getSignatureStatuses", [["abc"]], "Invalid param"),
        ("getSignatureStatuses", [[str(Signature.default())] * 257], "Too many inputs provided; max 256"),
        ("getMultipleAccounts", [[TOKEN_PROGRAM] * 101], "Too many inputs provided; max 100"),
        ("getSignaturesForAddress", [TOKEN_PROGRAM, {"limit": 1001}], "Invalid limit; max 1000"),
        ("getSignaturesForAddress", [TOKEN_PROGRAM, {"commitment": "processed"}], "below `confirmed`"),
        ("getTransaction", [str(Signature.default()), {"commitment": "processed"}], "below `confirmed`"),
        ("getProgramAccounts", [TOKEN_PROGRAM, {"filters": [{"size": 1}]}], "unknown filter"),
        ("getTokenAccountBalance", [TOKEN_PROGRAM], "not a Token account"),
        ("getTokenSupply", [str(Keypair().pubkey())], "could not find account"),
        ("getTokenAccountsByOwner", [TOKEN_PROGRAM, {"mint": TOKEN_PROGRAM}], "could not find mint"),
        ("getTokenAccountsByOwner", [TOKEN_PROGRAM, {}], "expected `mint` or `programId`"),
        ("sendTransaction", ["!!", {"encoding": "base64"}], "invalid base64 encoding"),
        ("sendTransaction", ["AAAA", {"encoding": "base64"}], "failed to deserialize"),
        ("sendTransaction", ["A" * 1645, {"encoding": "base64"}], "too large: 1645 bytes"),
        ("getFeeForMessage", ["AAAA"], "failed to deserialize"),
        ("getMinimumBalanceForRentExemption", [-1], "unsigned integer"),
    ],
)
def test_wrong_parameters_are_named(chain: Localnet, method: str, params: list, message: str) -> None:
    error = refusal(chain, method, *params)
    assert error.code == -32602
    assert message in error.message


def test_min_context_slot_refuses_an_older_answer(chain: Localnet) -> None:
    slot = chain.call("getSlot", CONFIRMED)
    assert chain.call("getBalance", TOKEN_PROGRAM, {**CONFIRMED, "minContextSlot": slot})["context"]["slot"] >= slot
    error = refusal(chain, "getMultipleAccounts", [TOKEN_PROGRAM], {**CONFIRMED, "minContextSlot": slot + 100_000})
    assert error.code == -32016
    assert error.message == "Minimum context slot has not been reached"
    assert slot <= error.data["contextSlot"] < slot + 1000


def test_a_bad_signature_is_an_error_unless_preflight_is_skipped_and_leaves_no_trace(chain: Localnet) -> None:
    wallet, friend = funded(chain), Keypair().pubkey()
    good = transfer_of(wallet, friend, SOL, latest_blockhash(chain)[0])
    forged = VersionedTransaction.populate(good.message, [Signature.from_bytes(b"\x07" * 64)])
    error = refusal(chain, "sendTransaction", wire(forged), {"encoding": "base64"})
    assert (error.code, error.message) == (-32003, "Transaction signature verification failure")
    # As on a cluster: without preflight nobody looks before the validators drop it.
    answer = chain.call("sendTransaction", wire(forged), {"encoding": "base64", "skipPreflight": True})
    assert answer == str(forged.signatures[0])
    wait_landed(chain, send(chain, good))
    assert chain.call("getSignatureStatuses", [str(forged.signatures[0])])["value"] == [None]
    assert chain.call("getBalance", str(friend), {"commitment": "processed"})["value"] == SOL


def test_a_preflight_failure_carries_error_logs_and_units(chain: Localnet) -> None:
    wallet = funded(chain, SOL)
    tx = transfer_of(wallet, Keypair().pubkey(), 5 * SOL, latest_blockhash(chain)[0])
    error = refusal(chain, "sendTransaction", wire(tx), {"encoding": "base64", "preflightCommitment": "processed"})
    assert error.code == -32002
    text = "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    assert error.message == text
    assert error.data["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert error.data["unitsConsumed"] == 150
    assert any("insufficient lamports" in line for line in error.data["logs"])


def test_preflight_sees_the_state_of_its_commitment(chain: Localnet) -> None:
    wallet = Keypair()
    # The blockhash is old enough to be known at finalized, the money is not there yet.
    blockhash = chain.call("getLatestBlockhash", {"commitment": "finalized"})["value"]["blockhash"]
    wait_landed(chain, chain.call("requestAirdrop", str(wallet.pubkey()), SOL))
    instruction = transfer(TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL // 2))
    message = Message.new_with_blockhash([instruction], wallet.pubkey(), Hash.from_string(blockhash))
    tx = VersionedTransaction(message, [wallet])
    options = {"encoding": "base64", "sigVerify": True}
    calls = [
        ("simulateTransaction", [wire(tx), {**options, "commitment": level}]) for level in ("processed", "finalized")
    ]
    processed, finalized = [answer["result"]["value"]["err"] for answer in chain.batch(*calls)]
    assert (finalized, processed) == ("AccountNotFound", None)
    # The look into the past must not have changed the present.
    assert wait_landed(chain, send(chain, tx))["err"] is None


def test_a_failed_simulation_shows_no_accounts_and_asks_for_no_more_than_it_names(chain: Localnet) -> None:
    wallet = funded(chain, SOL)
    tx = transfer_of(wallet, Keypair().pubkey(), 5 * SOL, latest_blockhash(chain)[0])
    options = {"encoding": "base64", "commitment": "processed"}
    shown = {"accounts": {"addresses": [str(wallet.pubkey()), TOKEN_PROGRAM]}}
    value = chain.call("simulateTransaction", wire(tx), options | shown)["value"]
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert value["accounts"] == [None, None]
    more = {"accounts": {"addresses": [TOKEN_PROGRAM] * 4}}
    error = refusal(chain, "simulateTransaction", wire(tx), options | more)
    assert (error.code, error.message) == (-32602, "Too many accounts provided; max 3")


def test_a_lookup_table_that_is_not_there_is_refused_at_once(chain: Localnet) -> None:
    wallet, friend = funded(chain), Keypair().pubkey()
    instruction = transfer(TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=friend, lamports=SOL))
    for key, text in (
        (Keypair().pubkey(), "loads an address table account that doesn't exist"),
        (Pubkey.from_string(TOKEN_PROGRAM), "loads an address table account with an invalid owner"),
    ):
        table = AddressLookupTableAccount(key, [friend])
        message = MessageV0.try_compile(wallet.pubkey(), [instruction], [table], latest_blockhash(chain)[0])
        tx = VersionedTransaction(message, [wallet])
        for method, options in (("sendTransaction", {"skipPreflight": True}), ("simulateTransaction", {})):
            error = refusal(chain, method, wire(tx), {"encoding": "base64", **options})
            assert (error.code, error.message) == (-32602, f"invalid transaction: Transaction {text}")


def test_simulation_shows_accounts_and_may_replace_the_blockhash(chain: Localnet) -> None:
    wallet, friend = funded(chain), str(Keypair().pubkey())
    stale = transfer_of(wallet, Keypair().pubkey(), SOL, Hash.default())
    options = {"encoding": "base64", "commitment": "processed"}
    assert chain.call("simulateTransaction", wire(stale), options)["value"]["err"] == "BlockhashNotFound"
    options |= {"replaceRecentBlockhash": True, "accounts": {"addresses": [str(wallet.pubkey()), friend]}}
    value = chain.call("simulateTransaction", wire(stale), options)["value"]
    assert value["err"] is None
    assert value["accounts"][0]["lamports"] == 9 * SOL - 5000
    assert value["accounts"][1] is None
    assert value["replacementBlockhash"]["lastValidBlockHeight"] > 150
    assert chain.call("getBalance", str(wallet.pubkey()), {"commitment": "processed"})["value"] == 10 * SOL
    error = refusal(chain, "simulateTransaction", wire(stale), {**options, "sigVerify": True})
    assert error.code == -32602


def test_account_encodings(chain: Localnet) -> None:
    info = dict.fromkeys(("base64", "base58", "jsonParsed"))
    for encoding in info:
        value = chain.call("getAccountInfo", TOKEN_PROGRAM, {"encoding": encoding, "commitment": "processed"})["value"]
        info[encoding] = value["data"]
        assert (value["executable"], value["space"]) == (True, 36)
    raw = b64decode(info["base64"][0])
    assert info["base64"][1] == "base64"
    assert info["base58"][1] == "base58"
    assert info["jsonParsed"] == info["base64"]
    part = {"encoding": "base64", "dataSlice": {"offset": 4, "length": 8}, "commitment": "processed"}
    sliced = chain.call("getAccountInfo", TOKEN_PROGRAM, part)["value"]
    assert (b64decode(sliced["data"][0]), sliced["space"]) == (raw[4:12], 36)
    large = str(chain.call("getProgramAccounts", TOKEN_PROGRAM, {"encoding": "base64"}))
    assert large == "[]"
    error = refusal(chain, "getAccountInfo", "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL", {"encoding": "base58"})
    assert (error.code, "base64 encoding" in error.message.lower()) == (-32600, True)
    assert chain.call("getAccountInfo", str(Keypair().pubkey()))["value"] is None


def test_transaction_encodings_and_versions(chain: Localnet) -> None:
    wallet = funded(chain)
    instruction = transfer(TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL))
    message = MessageV0.try_compile(wallet.pubkey(), [instruction], [], latest_blockhash(chain)[0])
    tx = VersionedTransaction(message, [wallet])
    signature = send(chain, tx)
    options = {**CONFIRMED, "maxSupportedTransactionVersion": 0}
    landed = wait_for(lambda: chain.call("getTransaction", signature, options))
    assert landed["version"] == 0
    assert landed["transaction"]["message"]["header"]["numRequiredSignatures"] == 1
    error = refusal(chain, "getTransaction", signature, CONFIRMED)
    assert (error.code, "maxSupportedTransactionVersion" in error.message) == (-32015, True)
    wired = chain.call("getTransaction", signature, {**options, "encoding": "base64"})
    assert wired["transaction"] == [wire(tx), "base64"]
    parsed = chain.call("getTransaction", signature, {**options, "encoding": "jsonParsed"})["transaction"]["message"]
    assert parsed["accountKeys"][0] == {
        "pubkey": str(wallet.pubkey()),
        "signer": True,
        "source": "transaction",
        "writable": True,
    }
    assert refusal(chain, "getTransaction", signature, {**options, "encoding": "hex"}).code == -32602


def test_signatures_page_through_every_transaction_once(chain: Localnet) -> None:
    friend = Keypair().pubkey()
    wallets = [funded(chain) for _ in range(2)]
    blockhash = latest_blockhash(chain)[0]
    sent = [send(chain, transfer_of(wallets[n % 2], friend, SOL // 100 + n, blockhash)) for n in range(23)]
    wait_landed(chain, sent[-1])
    everything = wait_for(
        lambda: listed if len(listed := chain.call("getSignaturesForAddress", str(friend), CONFIRMED)) == 23 else None
    )
    assert [entry["signature"] for entry in everything] == sent[::-1]
    pages, before = [], {}
    while page := chain.call("getSignaturesForAddress", str(friend), {**CONFIRMED, "limit": 5, **before}):
        assert len(page) <= 5
        pages += [entry["signature"] for entry in page]
        before = {"before": pages[-1]}
    assert pages == sent[::-1]
    until = {**CONFIRMED, "until": sent[20], "limit": 10}
    assert [entry["signature"] for entry in chain.call("getSignaturesForAddress", str(friend), until)] == [
        sent[22],
        sent[21],
    ]
    unknown = {**CONFIRMED, "before": str(Signature.from_bytes(b"\x09" * 64))}
    assert chain.call("getSignaturesForAddress", str(friend), unknown) == []


def test_fees_show_the_price_that_was_paid(chain: Localnet) -> None:
    wallet = funded(chain)
    instructions = [
        set_compute_unit_limit(10_000),
        set_compute_unit_price(3_000_000),
        transfer(TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL)),
    ]
    message = Message.new_with_blockhash(instructions, wallet.pubkey(), latest_blockhash(chain)[0])
    tx = VersionedTransaction(message, [wallet])
    asked = chain.call("getFeeForMessage", b64encode(bytes(message)).decode(), {"commitment": "processed"})["value"]
    landed = wait_landed(chain, send(chain, tx))
    assert asked == 5000 + 10_000 * 3_000_000 // 1_000_000
    assert chain.call("getBalance", str(wallet.pubkey()), {"commitment": "processed"})["value"] == 9 * SOL - asked
    fees = {entry["slot"]: entry["prioritizationFee"] for entry in chain.call("getRecentPrioritizationFees")}
    assert fees[landed["slot"]] == 3_000_000


def test_the_faucet_has_a_cap(chain: Localnet) -> None:
    assert refusal(chain, "requestAirdrop", str(Keypair().pubkey()), 101 * SOL).code == -32603


def test_http_answers_what_is_no_call_as_a_validator_does(chain: Localnet) -> None:
    address = urlsplit(chain.rpc_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=5)
    try:
        # All over one connection: every answer has to leave it usable.
        for method, path, body, headers, status in (
            ("GET", "/health", None, {}, 200),
            ("GET", "/", None, {}, 405),
            ("OPTIONS", "/", None, {}, 200),
            ("POST", "/", b"{}", {"Content-Type": "text/plain"}, 415),
            ("POST", "/", b" " * 60_000, {"Content-Type": "application/json"}, 413),
            ("POST", "/", b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}', {"Content-Type": "application/json"}, 200),
        ):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
            assert response.status == status, (method, path)
        assert json.loads(text) == {"jsonrpc": "2.0", "result": "ok", "id": 1}
    finally:
        connection.close()


def test_pipelined_requests_are_answered_in_order(chain: Localnet) -> None:
    address = urlsplit(chain.rpc_url)
    calls = b""
    for number in range(5):
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "getHealth"}).encode()
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        calls += head.encode() + body
    chain.call("frt_setFaults", {"latency_ms": {"min": 1, "max": 20}})
    try:
        with socket.create_connection((address.hostname, address.port), timeout=5) as client:
            client.sendall(calls)
            received = b""
            while received.count(b'"ok"') < 5:
                received += client.recv(65536)
    finally:
        chain.call("frt_setFaults", {})
    ids = [json.loads(b"{" + part.split(b"{", 1)[1])["id"] for part in received.split(b"HTTP/1.1")[1:]]
    assert ids == list(range(5))


def test_a_websocket_notification_gets_no_answer(chain: Localnet) -> None:
    """web3.js sends a ping of this form every five seconds."""
    with connect(chain.ws_url) as socket_:
        socket_.send(json.dumps({"jsonrpc": "2.0", "method": "ping"}))
        socket_.send(json.dumps({"jsonrpc": "2.0", "id": 7, "method": "nothing"}))
        first = json.loads(socket_.recv(timeout=5))
        assert (first["id"], first["error"]["code"]) == (7, -32601)
        socket_.send("{")
        assert json.loads(socket_.recv(timeout=5))["error"]["code"] == -32700
