"""The plan that `itly init` begins with: small, whole, and one of everything that most plans need."""

from __future__ import annotations

from .yaml_text import scalar

STARTER = """\
# A tracking plan: the events your product sends, and the properties each may have.
# `itly pull` makes a Python package of it; docs/plan-format.md has all there is to write here.
itly: 1
plan:
  name: {name}
  version: 0.1.0
  source: python

# Properties laid under every event, given once: itly.Context(app_version=...)
context:
  properties:
    app_version: {{type: string, required: true, description: The release that is running.}}

# What is known of a user: itly.identify("user-1", plan="free")
identify:
  properties:
    plan: {{enum: [free, pro], description: What the user pays for.}}

events:
  # Sent by itly.signed_up("user-1", method="password")
  Signed Up:
    description: Somebody made an account.
    version: 1.0.0
    owner: {owner}
    examples: [{{method: password}}]
    properties:
      method: {{required: true, enum: [password, google, invitation], description: How they came in.}}
      referrer: {{type: string, nullable: true, description: "Where they came from, if that is known."}}
"""


def starter(name: str, owner: str) -> str:
    """The text of a new plan."""
    return STARTER.format(name=scalar(name), owner=scalar(owner))
