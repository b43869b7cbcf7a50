"""``help``: the registry, printed."""

from __future__ import annotations

from firmware.commands.kinds import Text
from firmware.commands.language import resolve
from firmware.commands.registry import TOP_LEVEL, Argument, Call, Operation, Option, Registry, Reply

__all__ = ["register_help"]

COLUMNS = 79
"""What fits a terminal of 80 columns without touching its last one."""


def register_help(registry: Registry) -> None:
    """Registers ``help``, ``help MODULE`` and ``help COMMAND``."""

    async def show(call: Call) -> Reply:
        words = call.values("topic")
        if not words:
            return _overview(registry)
        module = registry.module(words[0])
        if len(words) == 1 and module and registry.find(TOP_LEVEL, words[0].lower()) is None:
            return _module(registry, module)
        named = [] if len(words) > 1 else [each for each in registry if each.name == words[0].lower()]
        # Without its module, a command that is the only one of its name can be asked for all the same.
        return _operation(named[0] if len(named) == 1 else resolve(registry, " ".join(words)).operation)

    def suggest(words: object) -> list[str]:
        return [module.lower() for module in registry.modules] if not words else []

    registry.register(
        Operation(
            TOP_LEVEL,
            "help",
            "lists commands; help MODULE, help COMMAND say more",
            show,
            arguments=(Argument("topic", Text(limit=64), rest=True),),
            query=True,
            suggest=suggest,
        )
    )


def _overview(registry: Registry) -> Reply:
    from textwrap import wrap  # pulls in the regular expressions, which boot to the login prompt does without

    lines = _table([(operation.usage, operation.help) for operation in registry.operations(TOP_LEVEL)])
    modules = [module for module in registry.modules if module != TOP_LEVEL]
    if modules:
        lines += ["", "modules (x509 trust-list and mod cmd X509 trust-list are the same):"]
        for module in modules:
            names = ", ".join(operation.name for operation in registry.operations(module))
            lines += wrap(
                names,
                COLUMNS,
                initial_indent=f"  {module:<7} ",
                subsequent_indent=" " * 10,
                break_on_hyphens=False,  # a name that is broken cannot be copied
            )
    lines += ["", "a blank inside a value is written %20; /json makes an answer one line of JSON"]
    return Reply(
        "\n".join(lines), {module: [each.name for each in registry.operations(module)] for module in registry.modules}
    )


def _module(registry: Registry, module: str) -> Reply:
    operations = registry.operations(module)
    lines = _table([(operation.command, operation.help) for operation in operations])
    return Reply("\n".join(lines), {module: {operation.name: _data(operation) for operation in operations}})


def _operation(operation: Operation) -> Reply:
    lines = [*_usage_lines(operation.usage), f"  {operation.help}"]
    parameters = [
        (f"/{parameter.name}" if isinstance(parameter, Option) else parameter.name.upper(), _described(parameter))
        for parameter in operation.parameters
        if parameter.help and not (isinstance(parameter, Option) and parameter.ignored)
    ]
    if operation.paste:
        lines.append("  reads pasted text; a line that holds only a dot ends it")
    return Reply("\n".join(lines + [f"  {line}" for line in _table(parameters)]), _data(operation))


def _usage_lines(usage: str) -> list[str]:
    """A usage that fits the terminal, with each option whole."""
    lines = [""]
    for part in usage.replace(" [", "\n[").split("\n"):
        if lines[-1] and len(lines[-1]) + 1 + len(part) > COLUMNS:
            lines.append("   ")
        lines[-1] += f" {part}" if lines[-1] else part
    return lines


def _described(parameter: Option | Argument) -> str:
    if parameter.default is None:
        return parameter.help
    return f"{parameter.help} (default: {parameter.default})"


def _data(operation: Operation) -> dict[str, object]:
    options = [
        {
            "name": option.name,
            "type": option.kind.shape if option.kind else "flag",
            "values": list(option.kind.values) if option.kind else [],
            "required": option.required,
            "repeat": option.repeat,
            "help": option.help,
        }
        for option in operation.options
        if not option.ignored
    ]
    return {"usage": operation.usage, "help": operation.help, "options": options, "paste": operation.paste}


def _table(rows: list[tuple[str, str]]) -> list[str]:
    """Two columns; a first column too long for the terminal gets a line of its own."""
    width = min(28, max((len(left) for left, _ in rows), default=0))
    lines: list[str] = []
    for left, right in rows:
        if len(left) <= width:
            lines.append(f"{left:<{width}}  {right}".rstrip())
        else:
            lines += [left, f"{'':<{width}}  {right}".rstrip()]
    return lines
