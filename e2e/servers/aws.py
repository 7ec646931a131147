"""ministack, with three things put right.

It does not evaluate a TimeoutSeconds that is JSONata, as "Ask for a decision"
has one. It leaves out Assign and Output of a Parallel state. And it lets nobody
publish as GuardDuty, which is right of it and which a test must do.
https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html
"""
from ministack import app
from ministack.services import eventbridge, stepfunctions

execute_task = stepfunctions._execute_task
run_parallel_branches = stepfunctions._run_parallel_branches
put_events = eventbridge._put_events


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


def publish(data, allow_aws_source=False):
    sources = {entry.get("Source") for entry in data.get("Entries", [])}
    return put_events(data, allow_aws_source or sources == {"aws.guardduty"})


stepfunctions._execute_task = task
stepfunctions._run_parallel_branches = parallel
eventbridge._put_events = publish
app.main()
