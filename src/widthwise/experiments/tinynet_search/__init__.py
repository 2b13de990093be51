"""A search for small networks: drawn, trained, fitted by the tiny formula, and judged."""

from ...runs import TRIALS
from .figure import draw_search
from .markdown import search_text, sentences_of
from .page import search_page
from .search import Search, SearchResult, SearchSettings
from .train import TEST, VALIDATION
from .trials import SearchTrial

__all__ = [
    "TEST",
    "TRIALS",
    "VALIDATION",
    "Search",
    "SearchResult",
    "SearchSettings",
    "SearchTrial",
    "draw_search",
    "search_page",
    "search_text",
    "sentences_of",
]
