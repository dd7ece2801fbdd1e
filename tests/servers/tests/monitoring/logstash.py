"""Reads a Logstash pipeline by its grammar, and holds its plugins and options against those that there are."""

import json
import sys

from lscl.lang import LsclAttribute, LsclBlock, LsclConditions
from lscl.parser import parse_lscl

KINDS = {
    "array": (list, str),
    "boolean": (bool, str),
    "hash": (dict,),
    "number": (int, float),
    "any": (list, dict, str, int, float, bool),
}


def text(value):
    return str(getattr(value, "content", value))


def check(at, kind, value):
    if isinstance(kind, dict):
        for one in value if isinstance(value, list) else [value]:
            check(at, kind["list"], one)
    elif isinstance(kind, list):
        if text(value) not in kind:
            raise ValueError(f"{at}: {text(value)} is none of {kind}")
    elif kind == "boolean":
        if text(value).lower() not in ("true", "false"):
            raise ValueError(f"{at}: {text(value)} is no boolean")
    elif not isinstance(getattr(value, "content", value), KINDS.get(kind, (str,))):
        raise ValueError(f"{at}: {value!r} is no {kind}")


def plugins(section, content, known):
    for item in content:
        if isinstance(item, LsclConditions):
            for _, inner in item.conditions:
                yield from plugins(section, inner, known)
            yield from plugins(section, item.default or [], known)
        elif isinstance(item, LsclBlock):
            if item.name not in known[section]:
                raise ValueError(f"no {section} {item.name}")
            options = known[section][item.name]
            for option in item.content:
                if not isinstance(option, LsclAttribute) or option.name not in options:
                    raise ValueError(f"{item.name} has no option {option.name}")
                check(f"{item.name}: {option.name}", options[option.name], option.content)
            yield f"{section} {item.name}"
        else:
            raise ValueError(f"no plugin: {item!r}")


known = json.load(open(sys.argv[1]))
for block in parse_lscl(sys.stdin.read()):
    if block.name not in ("input", "filter", "output"):
        raise ValueError(f"no section {block.name}")
    for plugin in plugins(block.name, block.content, known):
        print(plugin)
