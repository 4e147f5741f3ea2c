"""`frt worker`: this machine's Celery nodes against a Redis that is configured elsewhere."""

from __future__ import annotations

from threading import Event

from domain.runtime.settings import Settings
from ops.children import Children
from ops.plan import WorkerPlan
from ops.stack import CONTROL, CYCLES, ROOT, child_environment, control_spec, cycle_specs
from tasks.app import create_app


def run_nodes(settings: Settings, plan: WorkerPlan, stop: Event, *, cycles: bool, control: bool) -> None:
    """Run until ``stop``; a node that dies is started again. Raises ChildError when one does not come up."""
    env = child_environment(settings)
    app = create_app(settings)
    with Children(None, ROOT) as children:
        specs = cycle_specs(app, settings, plan, env) if cycles else []
        if control:
            specs.append(control_spec(app, plan, env))
        children.start(specs, stop.is_set)
        while not stop.wait(0.5):
            children.check()
        children.close([(CYCLES, CONTROL)])
