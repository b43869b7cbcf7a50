"""The storm's report as one HTML page: for a planner who must decide what keys a gateway can afford.

``page_from_result`` is all there is to call. Figures are derived in ``figures.py``, said in ``words.py``, drawn with
``plot.py`` and put in order by ``document.py``; ``page.css`` and ``page.js`` go into the page as they are.
"""

from __future__ import annotations

from hil.storm.page.document import page_from_result

__all__ = ["page_from_result"]
