#!/usr/bin/env python3
"""Say what parliament finds in policies.

Reads an object of policy documents by name on stdin, and writes a list of
[name, finding] on stdout. parliament's own command line wants a terminal.
"""

import json
import sys

from parliament import analyze_policy_string, enhance_finding

found = []
for name, policy in json.load(sys.stdin).items():
    for finding in analyze_policy_string(json.dumps(policy)).findings:
        finding = enhance_finding(finding)
        if finding.severity != "MUTE":
            found.append([name, f"{finding.issue}: {finding.title}: {finding.detail}"])
json.dump(found, sys.stdout)
