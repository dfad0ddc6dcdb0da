"""Addresses of the studio, by subject."""

from blemish.studio.routes import collecting, pages, photographs, placing, working

ROUTES = [
    *pages.ROUTES,
    *photographs.ROUTES,
    *placing.ROUTES,
    *collecting.ROUTES,
    *working.ROUTES,
]
