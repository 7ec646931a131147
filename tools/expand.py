#!/usr/bin/env python3
"""Expand template.yaml as CloudFormation's SAM transform would.

    expand.py [TEMPLATE [FOLDER]]

Writes FOLDER/expanded.json, the template that CloudFormation would see, with
the machine's definition inline, and FOLDER/definition.json, the definition
with its substitutions filled in. Linters look through neither the transform
nor the substitutions, so they judge these two.
"""

import json
import os
import re
import sys

import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# Where the linters have to see some account and Region, these are used.
ACCOUNT, REGION = "111122223333", "us-east-1"


class NoManagedPolicies:
    """The transform asks IAM for the ARNs of managed policies; roles here have none."""

    def load(self):
        return {}


def fail(text):
    sys.exit("expand: " + text)


def example(value, template):
    """What CloudFormation could put in for a value of DefinitionSubstitutions."""
    if isinstance(value, dict) and list(value) == ["Fn::GetAtt"]:
        name, attribute = value["Fn::GetAtt"]
        if attribute == "Arn" and name.endswith("Function"):
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    if isinstance(value, dict) and list(value) == ["Ref"]:
        default = template.get("Parameters", {}).get(value["Ref"], {}).get("Default")
        if default is not None:
            return str(default)
    if isinstance(value, dict) and list(value) == ["Fn::If"]:
        return example(value["Fn::If"][1], template)
    if isinstance(value, str):
        return value
    fail(f"the substitution {json.dumps(value)} is neither a function's ARN, a parameter with a default, nor a text")


def inline(machine, name, template, folder):
    """Put the definition's text into the template, and return it filled in."""
    path = os.path.join(folder, machine.pop("DefinitionUri", "") or fail(f"{name} has no DefinitionUri"))
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        fail(f"the definition of {name} cannot be read: {error}")
    values = {k: example(v, template) for k, v in machine.get("DefinitionSubstitutions", {}).items()}

    def fill(match):
        if match[1] not in values:
            fail(f"the definition of {name} has ${{{match[1]}}}, which DefinitionSubstitutions lacks")
        return values[match[1]]

    filled = re.sub(r"\$\{([^}]*)\}", fill, text)
    try:
        machine["Definition"] = json.loads(text)
        return json.loads(filled)
    except ValueError as error:
        fail(f"the definition of {name} is no JSON: {error}")


def main(path="template.yaml", folder=".aws-sam"):
    # The transform builds ARNs for the Region it runs in; it calls nothing.
    os.environ["AWS_DEFAULT_REGION"] = REGION
    try:
        with open(path, encoding="utf-8") as file:
            template = yaml_parse(file.read())
    except (OSError, yaml.YAMLError) as error:
        fail(f"the template cannot be read: {error}")

    definitions = {}
    for name, resource in template.get("Resources", {}).items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::StateMachine":
            definitions[name] = inline(properties, name, template, os.path.dirname(path))
        if resource["Type"] == "AWS::Serverless::Function":
            # What sam package would put there; the transform takes no folder.
            properties["CodeUri"] = f"s3://bucket/{name}.zip"
    if len(definitions) != 1:
        fail(f"{path} has {len(definitions)} state machines, not one")

    try:
        expanded = transform(template, {}, NoManagedPolicies())
    except InvalidDocumentException as error:
        fail("; ".join([error.message, *(cause.message for cause in error.causes)]))

    for name in definitions:
        # The transform makes a Join so long that cfn-lint gets lost in it, and cfn-lint does not
        # look into substitutions. A Sub of the same parts says the same, and it is checked.
        properties = expanded["Resources"][name]["Properties"]
        separator, lines = properties["DefinitionString"]["Fn::Join"]
        substitutions = properties.pop("DefinitionSubstitutions", {})
        properties["DefinitionString"] = {"Fn::Sub": [separator.join(lines), substitutions]}

    os.makedirs(folder, exist_ok=True)
    for name, content in (("expanded", expanded), ("definition", *definitions.values())):
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False)
            file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
