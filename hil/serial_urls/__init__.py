"""pyserial's URL ``gatebench://``: any pyserial program talks to an emulated gateway, without sockets, in virtual time.

::

    import serial
    serial.protocol_handler_packages.append("hil.serial_urls")
    port = serial.serial_for_url("gatebench://ip800?seed=7&card=ram", timeout=5)

``protocol_gatebench`` is the module that pyserial looks for.
"""
