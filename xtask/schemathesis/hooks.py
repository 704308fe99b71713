"""What schemathesis cannot know of this server."""

import schemathesis
from schemathesis.openapi.checks import IgnoredAuth


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whoever has shown ten wrong tokens in a row is refused with 429: refused all the same."""
    return not (isinstance(failure, IgnoredAuth) and "got `429" in failure.message)
