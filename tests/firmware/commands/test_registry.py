"""Registering: easy for a module, and mistakes in the code are found at once."""

from __future__ import annotations

from typing import Any

import pytest

from firmware.commands import Argument, Call, Choice, Operation, Option, Registry, Reply, call_from_line


async def nothing(call: Call) -> Reply:
    return Reply()


def test_a_module_registers_its_operations_with_what_they_work_on(run_to_end: Any, session: Any) -> None:
    class Lamp:
        colour = "off"

    def register_lamp(registry: Registry, lamp: Lamp) -> None:
        async def shine(call: Call) -> Reply:
            lamp.colour = call.text("colour")
            return Reply(f"shines {lamp.colour}")

        colour = Option("colour", Choice("red", "green"), "what to shine", default="green")
        registry.register(Operation("LAMP", "shine", "turns the lamp on", shine, options=(colour,)))

    registry, lamp = Registry(), Lamp()
    register_lamp(registry, lamp)
    call = call_from_line(registry, "lamp shine /colour RED", session)
    assert run_to_end(call.operation.handler(call)) == Reply("shines red")
    assert lamp.colour == "red"
    assert call.operation.usage == "lamp shine [/colour red|green]"


@pytest.mark.parametrize(
    "operation",
    [
        Operation("lamp", "shine", "", nothing),
        Operation("LAMP", "Shine", "", nothing),
        Operation("LAMP", "shine", "", nothing, options=(Option("json"),)),
        Operation("LAMP", "shine", "", nothing, options=(Option("a"), Option("a"))),
        Operation("LAMP", "shine", "", nothing, options=(Option("A"),)),
        Operation("LAMP", "shine", "", nothing, arguments=(Argument("a", rest=True), Argument("b"))),
    ],
)
def test_an_operation_of_a_shape_that_makes_no_sense_is_refused(operation: Operation) -> None:
    with pytest.raises(ValueError, match=operation.module):
        Registry().register(operation)


def test_a_name_is_taken_once(registry: Registry) -> None:
    with pytest.raises(ValueError, match="x509 trust-list is registered already"):
        registry.register(Operation("X509", "trust-list", "", nothing))


def test_a_module_is_found_in_any_case_and_with_its_instance_number(registry: Registry) -> None:
    assert [registry.module(word) for word in ("x509", "X5090", "cmd0", "x5091", "0", "")] == [
        "X509", "X509", "CMD", None, None, None,
    ]  # fmt: skip
