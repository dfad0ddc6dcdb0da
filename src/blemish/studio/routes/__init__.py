"""Addresses of the studio, by subject."""

from blemish.studio.routes import collecting, editing, pages, photographs, placing, working

ROUTES = [
    *pages.ROUTES,
    *photographs.ROUTES,
    *placing.ROUTES,
    *editing.ROUTES,
    *collecting.ROUTES,
    *working.ROUTES,
]
