"""Checks the guide: nothing between two fences is left unchecked.

How a chapter's author uses it
------------------------------
1. Write ``docs_src/chNN_topic/program.py``. Mark the parts a page shows::

       # --8<-- [start:ship]
       ...
       # --8<-- [end:ship]

   Lines that matter end in ``# (!)``; annotations are ``# (1)!``. A print followed by a ``#>``
   comment has that comment checked and kept up to date. The first lines may say
   ``# needs: postgres``, which gives the program a schema of its own in ``POSTGRES_URL``, or
   ``# raises: NotFoundError``. A module-level string called ``diagram`` becomes ``program.mmd``,
   one called ``flow_diagram`` becomes ``program.flow.mmd``. If ``diagram`` draws a recording, its
   steps become ``program.trace.json``, which the page plays.
2. Show it on the page::

       ``` python
       --8<-- "chNN_topic/program.py:ship"
       ```

   and its products with ``text`` (``program.out``) and ``mermaid`` (``program.mmd``) fences. Shell
   sessions (``console``) and interactive ones (``pycon``) stand on the page, or in
   ``chNN_topic/session.console`` and ``chNN_topic/session.pycon`` beside the programs.
3. ``make examples`` runs everything, and writes what the programs printed and drew, what the
   sessions answered, and the ``#>`` comments, on pages too. Read ``git diff``.
   ``python -m tests.guide.programs ch08 event-handlers`` does so for one chapter.
4. ``make test`` compares, and says by page and line what nothing covers.

The kinds of fence stand in one table, `tests.guide.rules.RULES`, the parts of a chapter's page in
`tests.guide.chapters`.

All Python fences and ``pycon`` sessions of a page share one namespace, in order. It holds the
names of each program that was shown above, as ``import program`` would give them.
"""
