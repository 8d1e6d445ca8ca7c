"""As much of JSON Schema as our schemas use: a second reader, which knows nothing of what wrote the value."""

_TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int,
    "number": (int, float),
}  # fmt: skip


def problems(value, schema, root, at="$"):
    """Where and how a value differs from a schema; empty if it does not."""
    if "$ref" in schema:
        return problems(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    found = []
    if "oneOf" in schema:
        fitting = [s for s in schema["oneOf"] if not problems(value, s, root, at)]
        found += [] if len(fitting) == 1 else [f"{at}: {len(fitting)} of the alternatives fit"]
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is none of {schema['enum']}")
    kind = schema.get("type")
    if kind and (not isinstance(value, _TYPES[kind]) or (kind in ("number", "integer") and isinstance(value, bool))):
        return [*found, f"{at}: {value!r} is no {kind}"]
    for key in schema.get("required", ()):
        if key not in value:
            found.append(f"{at}: {key} is missing")
    for key, part in schema.get("properties", {}).items():
        if key in value:
            found += problems(value[key], part, root, f"{at}.{key}")
    if schema.get("additionalProperties") is False:
        found += [f"{at}: {key} is not known" for key in value if key not in schema["properties"]]
    for i, item in enumerate(value if "items" in schema else ()):
        found += problems(item, schema["items"], root, f"{at}[{i}]")
    return found
