"""schema.py - JSON Schema, as much of it as report.schema.json uses; what it does not know, it refuses."""

import json
import re

ANNOTATIONS = {"$schema", "$defs", "title", "description"}
TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


class Schema:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.root = json.load(file)

    def errors(self, value, schema=None, where="$"):
        """What is wrong with a value, one text each."""
        schema = self.root if schema is None else schema
        found = []
        for keyword, argument in schema.items():
            if keyword in ANNOTATIONS:
                continue
            check = getattr(self, "check_" + keyword.strip("$"), None)
            if check is None:
                raise ValueError("unknown keyword " + keyword)
            found += check(value, argument, where, schema)
        return found

    def check_ref(self, value, argument, where, _):
        schema = self.root
        for name in argument.removeprefix("#/").split("/"):
            schema = schema[name]
        return self.errors(value, schema, where)

    def check_oneOf(self, value, argument, where, _):
        results = [self.errors(value, schema, where) for schema in argument]
        if sum(not result for result in results) == 1:
            return []
        return [f"{where}: none or several of these: {results}"]

    def check_type(self, value, argument, where, _):
        return [] if TYPES[argument](value) else [f"{where}: no {argument}: {value!r}"]

    def check_const(self, value, argument, where, _):
        return [] if value == argument else [f"{where}: not {argument!r}: {value!r}"]

    def check_enum(self, value, argument, where, _):
        return [] if value in argument else [f"{where}: none of {argument}: {value!r}"]

    def check_pattern(self, value, argument, where, _):
        fits = isinstance(value, str) and re.search(argument, value)
        return [] if fits else [f"{where}: not like {argument}: {value!r}"]

    def check_minLength(self, value, argument, where, _):
        return [] if len(value) >= argument else [f"{where}: too short: {value!r}"]

    def check_minimum(self, value, argument, where, _):
        fits = isinstance(value, int) and value >= argument
        return [] if fits else [f"{where}: below {argument}: {value!r}"]

    def check_items(self, value, argument, where, _):
        return [error for i, item in enumerate(value)
                for error in self.errors(item, argument, f"{where}[{i}]")]

    def check_required(self, value, argument, where, _):
        return [f"{where}: no {name}" for name in argument if name not in value]

    def check_dependentRequired(self, value, argument, where, _):
        return [f"{where}: {name} without {other}" for name, others in argument.items()
                if name in value for other in others if other not in value]

    def check_properties(self, value, argument, where, _):
        return [error for name, schema in argument.items() if name in value
                for error in self.errors(value[name], schema, f"{where}.{name}")]

    def check_additionalProperties(self, value, argument, where, schema):
        assert argument is False
        return [f"{where}: unknown {name}" for name in value if name not in schema["properties"]]
