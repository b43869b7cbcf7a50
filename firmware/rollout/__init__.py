"""Deployment of certificates by tools that know only persistent variables and ``mod cmd X509 xml-info``.

::

    servercert-create ... --> busy --> X509/REQUEST is there: the tool reads it and has it signed elsewhere
                                                                            |
       new certificate in xml-info <-- busy <-- quiet for a while <-- X509/REQUESTRESPONSE/00000 ... are written
                                        |
                                        +--> does not fit: X509/REQUESTERROR; everything stops until it is deleted

The interface is the one that the vendor's published roll-out tool uses. That tool writes the variables one by one and
does not say which is the last, hence the pause; what it changed it looks for in a later query, never in the same.
"""

from firmware.rollout.task import Rollout
from firmware.rollout.variables import REQUEST_KEY, RequestVariables

__all__ = ["REQUEST_KEY", "RequestVariables", "Rollout"]
