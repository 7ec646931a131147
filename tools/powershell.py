"""powershell.py FILE reads a script for Windows PowerShell, as there is no such shell to run it.

It refuses what the grammar does not know, and what the script promises not to do or would fail at
without a word: a command that is no function of its own (a cmdlet loads a module, and a module
leaves a cache on the disk), a function given too few or too many arguments, a redirection, a variable
that is nowhere set (null, to PowerShell), a class or method that is not in the lists below. Those are
what was looked up in .NET Framework 4.6's reference, and none of them writes a file:
https://learn.microsoft.com/dotnet/api/?view=netframework-4.6
"""

import sys

import tree_sitter_powershell
from tree_sitter import Language, Parser

# What the document sets, and what PowerShell does.
# https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_automatic_variables
GIVEN = {"$incident", "$batch", "$null", "$true", "$false", "$_", "$executioncontext", "$psversiontable"}

# Classes that are only named, as a type to compare with or to convert to.
TYPES = {"array", "int", "long", "string", "void", "System.Management.ManagementBaseObject", "Net.WebException"}

STATIC = {
    "BitConverter": {"ToString"},
    "Console": {"Out"},
    "DateTime": {"UtcNow"},
    "Diagnostics.Process": {"GetProcesses"},
    "Environment": {"OSVersion", "WorkingSet"},
    "IO.Directory": {"GetFiles"},
    "IO.StreamReader": {"new"},
    "Net.SecurityProtocolType": {"Tls12"},
    "Net.ServicePointManager": {"SecurityProtocol"},
    "Net.WebRequest": {"CreateHttp"},
    "Security.Cryptography.SHA256CryptoServiceProvider": {"new"},
    "StringComparison": {"Ordinal"},
    "Text.Encoding": {"UTF8"},
    "Text.StringBuilder": {"new"},
    "Text.UTF8Encoding": {"new"},
    "Threading.Mutex": {"new"},
    "Threading.Thread": {"Sleep"},
    "TimeSpan": {"FromSeconds"},
    "char[]": {"new"},
    "regex": {"Replace"},
    "string": {"new"},
    "wmisearcher": {"new"},
}

# Methods of objects. GetOwner is a process's, of WMI.
METHODS = {
    "AddMinutes", "Append", "Close", "ComputeHash", "Get", "GetByteCount", "GetBytes", "GetOwner", "GetRequestStream", "GetResponse",
    "GetResponseStream", "ReadBlock", "Replace", "Split", "StartsWith", "Substring", "ToLowerInvariant", "ToString", "TrimEnd", "WaitOne",
    "Write", "WriteLine",
}


def main(path):
    source = open(path, "rb").read()
    faults = []

    def fault(node, what):
        faults.append(f"{path}:{node.start_point[0] + 1}: {what}")

    def text(node):
        return source[node.start_byte : node.end_byte].decode()

    def walk(node):
        yield node
        for child in node.children:
            yield from walk(child)

    root = Parser(Language(tree_sitter_powershell.language())).parse(source).root_node
    nodes = list(walk(root))
    children = lambda node, kind: [c for c in node.children if c.type == kind]

    functions, known = {}, set(GIVEN)
    for n in nodes:
        if n.type == "function_statement":
            functions[text(children(n, "function_name")[0])] = len([p for p in walk(n) if p.type == "script_parameter"])
        elif n.type == "script_parameter":
            known.add(text(children(n, "variable")[0]).lower())
        elif n.type == "left_assignment_expression" and text(n).startswith("$"):
            known.add(text(n).lower())
        elif n.type == "foreach_statement":
            known.add(text(children(n, "variable")[0]).lower())

    for n in nodes:
        if n.type == "ERROR" or n.is_missing:
            fault(n, f"the grammar does not know this: {text(n)[:60]!r}")
        elif "redirection" in n.type:
            fault(n, f"a redirection: {text(n)!r}")
        elif n.type == "variable" and not text(n).lower().startswith("$env:") and text(n).lower() not in known:
            fault(n, f"{text(n)} is nowhere set")
        elif n.type == "command":
            if children(n, "command_invokation_operator"):
                continue # & of a block that stands here
            name = text(children(n, "command_name")[0])
            given = [c for e in children(n, "command_elements") for c in e.children if c.type != "command_argument_sep"]
            if name not in functions:
                fault(n, f"{name} is none of the script's own functions")
            elif len(given) != functions[name]:
                fault(n, f"{name} wants {functions[name]} arguments and is given {len(given)}")
        elif n.type == "type_literal":
            name, after = text(n)[1:-1], n.next_sibling
            if after is not None and after.type == "::":
                member = text(after.next_sibling)
                if member not in STATIC.get(name, ()):
                    fault(n, f"[{name}]::{member} is not in the list")
            elif name not in TYPES:
                fault(n, f"[{name}] is not in the list")
        elif n.type == "invokation_expression" and children(n, "."):
            member = text(children(n, "member_name")[0])
            if member not in METHODS:
                fault(n, f".{member}() is not in the list")
    try:
        source.decode("ascii")
    except UnicodeDecodeError as e:
        # Without a mark at the file's beginning 5.1 reads it in the host's own code page.
        faults.append(f"{path}: a character that is not ASCII: {e}")
    return faults


if __name__ == "__main__":
    found = [f for path in sys.argv[1:] for f in main(path)]
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)
