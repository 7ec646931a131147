"""ministack, with what it leaves out put right. docs/e2e.md lists it.

It does not evaluate a TimeoutSeconds that is JSONata, as "Ask for a decision"
has one. It leaves out Assign and Output of a Parallel state, and lets the other
branches go on where one fails, until each has ended. It makes an HTTP API without the routes that the API's OpenAPI body names, and SAM writes them
nowhere else. And it lets nobody publish as GuardDuty, which is right of it and
which a test must do.
https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-api.html
"""
import contextvars
import inspect
import json
import queue
import threading

from ministack import app
from ministack.services import apigateway, eventbridge, stepfunctions
from ministack.services.cloudformation import provisioners

execute_task = stepfunctions._execute_task
run_parallel_branches = stepfunctions._run_parallel_branches
put_events = eventbridge._put_events
create_api = provisioners._apigw_v2_api_create

# What it has learned must not be done twice.
for function, learned in (
    (stepfunctions._invoke_with_callback, "_jsonata_state_field"),
    (run_parallel_branches, "_apply_state_assign"),
    (create_api, "Body"),
):
    if learned in inspect.getsource(function):
        raise SystemExit(f"ministack does what {__file__} mends in {function.__name__}: take that out")
if "t.join()" not in inspect.getsource(run_parallel_branches):
    raise SystemExit(f"ministack no longer waits for every branch: see what of parallel in {__file__} is needed")


def task(state, data, execution, context):
    timeout = state.get("TimeoutSeconds")
    if isinstance(timeout, str):
        state = {**state, "TimeoutSeconds": stepfunctions._jsonata_state_field(
            state, "TimeoutSeconds", "number", data, context)}
    return execute_task(state, data, execution, context)


# What stops the branch that a thread runs, and the branches around it.
stops = contextvars.ContextVar("stops", default=())


class Stopped(Exception):
    pass


def unless_stopped(*events):
    if any(event.is_set() for event in events):
        raise Stopped()


def parallel(state, data, execution, context):
    branches, around = state["Branches"], stops.get()
    results, ended, stop = [None] * len(branches), queue.SimpleQueue(), threading.Event()

    def run(index, branch):
        stops.set((*around, stop))
        try:
            results[index] = stepfunctions._run_sub_machine(
                branch["States"], branch["StartAt"], data, execution, context)
            ended.put(None)
        except Exception as error:
            ended.put(error)

    for index, branch in enumerate(branches):
        threading.Thread(target=contextvars.copy_context().run, args=(run, index, branch), daemon=True).start()
    left = len(branches)
    while left:
        unless_stopped(*around)
        try:
            error = ended.get(timeout=0.1)
        except queue.Empty:
            continue
        left -= 1
        if error:
            # The others end before their next state.
            stop.set()
            raise error if isinstance(error, stepfunctions._ExecutionError) else stepfunctions._ExecutionError(
                "States.BranchFailed", str(error))
    output = stepfunctions._apply_jsonata_output(state, data, context, result=results, default=results)
    stepfunctions._apply_state_assign(state, data, context, result=results)
    return output, stepfunctions._next_or_end(state)


def stoppable(handler):
    def handle(*arguments):
        unless_stopped(*stops.get())
        return handler(*arguments)
    return handle


def api(logical_id, props, stack):
    api_id, attributes = create_api(logical_id, props, stack)
    for path, methods in props.get("Body", {}).get("paths", {}).items():
        for method, operation in methods.items():
            to = operation["x-amazon-apigateway-integration"]
            made = json.loads(apigateway._create_integration(api_id, {
                "integrationType": to["type"].upper(), "integrationUri": to["uri"], "integrationMethod": to["httpMethod"],
                "payloadFormatVersion": to["payloadFormatVersion"]})[2])
            apigateway._create_route(api_id, {
                "routeKey": f"{method.upper()} {path}", "target": "integrations/" + made["integrationId"]})
    return api_id, attributes


def publish(data, allow_aws_source=False):
    sources = {entry.get("Source") for entry in data.get("Entries", [])}
    return put_events(data, allow_aws_source or sources == {"aws.guardduty"})


stepfunctions._execute_task = task
stepfunctions._run_parallel_branches = parallel
for name in ("pass", "task", "choice", "wait", "parallel"):
    setattr(stepfunctions, f"_execute_{name}", stoppable(getattr(stepfunctions, f"_execute_{name}")))
provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]["create"] = api
eventbridge._put_events = publish
app.main()
