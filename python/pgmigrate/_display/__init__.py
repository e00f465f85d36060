"""How results look in a notebook and on a page.

``style`` has the colours, ``markup`` the pieces of HTML, ``views`` the results made of them.
``timeline`` and ``treemap`` compute what pictures show, ``charts`` draws it with altair (extra
``pgmigrate[plots]``), ``svg`` puts a drawing into a page. ``page`` is the whole page of a report.
"""
