"""ministack, with what it leaves out put right. docs/e2e.md lists it.

It does not evaluate a TimeoutSeconds that is JSONata, as "Ask for a decision"
has one. It leaves out Assign and Output of a Parallel state. It makes an HTTP
API without the routes that the API's OpenAPI body names, and SAM writes them
nowhere else. And it lets nobody publish as GuardDuty, which is right of it and
which a test must do.
https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-api.html
"""
import inspect
import json

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


def task(state, data, execution, context):
    timeout = state.get("TimeoutSeconds")
    if isinstance(timeout, str):
        state = {**state, "TimeoutSeconds": stepfunctions._jsonata_state_field(
            state, "TimeoutSeconds", "number", data, context)}
    return execute_task(state, data, execution, context)


def parallel(state, data, execution, context):
    results, following = run_parallel_branches(state, data, execution, context)
    output = stepfunctions._apply_jsonata_output(state, data, context, result=results, default=results)
    stepfunctions._apply_state_assign(state, data, context, result=results)
    return output, following


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
provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]["create"] = api
eventbridge._put_events = publish
app.main()
