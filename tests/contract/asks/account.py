"""What the gateway says of the key, the user and the models.  No prompt: each variant is a rule for its route."""

from __future__ import annotations

from typing import Any, Final

import httpx

from tests.contract.asks.ask import Ask, Family, Way, fetched, ruled, tagged
from tests.contract.shapes import Loose

TOKEN: Final = "sandbox-access-token-for-user-1842"
WRONG: Final = {"Authorization": "Bearer sk-wrong"}


def _user(token: str = TOKEN, user_id: str = "1842", **more: Any) -> Way:
    headers = {"Authorization": f"Bearer {token}" if token else "", "New-Api-User": user_id}
    return ruled("user", fetched("/api/user/self", headers=headers, **more))


def _key(**options: Any) -> Way:
    return ruled("usage", fetched("/api/usage/token/", **options))


KEY: Final = _key()


def _log(client: httpx.Client, words: str) -> httpx.Response:
    """The key's log, with a task in it."""
    client.delete("/_sandbox/ledger").raise_for_status()
    client.post("/mj/submit/imagine", json={"prompt": tagged("paper lighthouse", "")}).raise_for_status()
    return client.get("/api/log/token")


LOG: Final = ruled("log", _log)
BILL: Final = ruled("billing.subscription", fetched("/v1/dashboard/billing/subscription"))
SPENT: Final = ruled("billing.usage", fetched("/v1/dashboard/billing/usage"))
USER: Final = _user()
MODELS: Final = ruled("models", fetched("/v1/models"))
GOOGLES: Final = ruled("gemini.models", fetched("/v1beta/models"))
ANTHROPICS: Final = fetched("/v1/models", headers={"x-api-key": "sk-sandbox", "anthropic-version": "2023-06-01"})

NAMES: Final = Loose(r"data\.model_limits", "its fields are names of models; it may be null (6.1)", True)
PART: Final = Loose(
    r"data\.(email|aff_code|aff_count|aff_quota|aff_history_quota|inviter_id|setting|sidebar_modules|permissions|"
    r"display_name|group)",
    "the file shows what a client reads of the user and leaves out the rest of 6.3",
)
GROUP: Final = Loose(r"data\[\]\.other\(text\)\.group_ratio: ", "the file leaves out what the group's price is (6.6)")
REQUEST_ID: Final = Loose(r"data(\.items)?\[\]\.request_id: ", "older builds leave it out; 6.6.json has both")
PARAM: Final = Loose(r"error\.param: ", "the key's errors leave `param` out on some builds (2.1)")

ASKS: Final = {
    "0-cut-off.txt": Ask(KEY, "say=cut_off", media_type="application/json"),
    "0-empty.txt": Ask(KEY, "fail=200_empty"),
    "0-page.html": Ask(KEY, "variant=html200"),
    "6.1-200-lookup-failed.json": Ask(KEY, "variant=failed"),
    "6.1-301.html": Ask(fetched("/api/usage/token")),
    "6.1-401-no-header.json": Ask(_key(headers={"Authorization": ""})),
    "6.1-401-unknown-key-coded.json": Ask(KEY, "fail=401_unauthorized"),
    "6.1-401-unknown-key.json": Ask(_key(headers=WRONG)),
    "6.1-403-banned-coded.json": Ask(KEY, "fail=403_banned"),
    "6.1-403-banned.json": Ask(KEY, "fail=403"),
    "6.1-404.json": Ask(KEY, "fail=404"),
    "6.1-429-empty.txt": Ask(KEY, "fail=429"),
    "6.1-exhausted.json": Ask(KEY, "variant=exhausted"),
    "6.1-expired.json": Ask(KEY, "variant=expired"),
    "6.1-unlimited.json": Ask(KEY, "variant=unlimited"),
    "6.1.json": Ask(KEY, "variant=limited"),
    "6.2-200-error.json": Ask(BILL, "variant=error200"),
    "6.2-401-exhausted.json": Ask(BILL, "fail=401_exhausted"),
    "6.2-401-generic.json": Ask(fetched("/v1/dashboard/billing/usage", headers=WRONG)),
    "6.2-subscription-expired.json": Ask(BILL, "variant=expired"),
    "6.2-subscription-unlimited.json": Ask(BILL, "variant=unlimited"),
    "6.2-subscription.json": Ask(BILL),
    "6.2-usage-all.json": Ask(SPENT),
    "6.2-usage.json": Ask(SPENT),
    "6.3-200-banned.json": Ask(USER, "variant=failed"),
    "6.3-200-token-wrong.json": Ask(_user("wrong")),
    "6.3-401-coded.json": Ask(USER, "variant=coded"),
    "6.3-401-no-token.json": Ask(_user("")),
    "6.3-401-user-id-missing.json": Ask(_user(user_id="")),
    "6.3-401-user-id-no-number.json": Ask(_user(user_id="me")),
    "6.3-401-user-id-of-another.json": Ask(_user(user_id="1")),
    "6.3-403-banned-coded.json": Ask(USER, "fail=403_banned"),
    "6.3-403-privilege-coded.json": Ask(USER, "fail=403_privilege"),
    "6.3-disabled.json": Ask(USER, "variant=disabled", loose=(PART,)),
    "6.3-message-null.json": Ask(USER, "variant=message_null say=other_login", loose=(PART,)),
    "6.3.json": Ask(USER),
    "6.4-200-failed.json": Ask(MODELS, "variant=failed"),
    "6.4-200-model-not-found.json": Ask(fetched("/v1/models", headers={"x-goog-api-key": "sk-sandbox"})),
    "6.4-401.json": Ask(fetched("/v1/models", headers=WRONG), loose=(PARAM,)),
    "6.4-anthropic.json": Ask(ANTHROPICS),
    "6.4-empty.json": Ask(MODELS, "variant=empty"),
    "6.4-without-types.json": Ask(MODELS, "variant=no_types"),
    "6.4.json": Ask(MODELS),
    "6.5-empty.json": Ask(GOOGLES, "say=no_models"),
    "6.5-google.json": Ask(GOOGLES, "say=googles"),
    "6.5.json": Ask(GOOGLES),
    "6.6-200-key-wrong.json": Ask(LOG, "fail=200_success_false"),
    "6.6-empty.json": Ask(LOG, "variant=empty"),
    "6.6-null.json": Ask(LOG, "say=null"),
    "6.6-page.json": Ask(LOG, "say=page", loose=(REQUEST_ID,)),
    "6.6-task-in-other.json": Ask(LOG, "variant=coded", loose=(GROUP, REQUEST_ID)),
    "6.6.json": Ask(LOG, "say=of_all_kinds"),
}

FAMILY: Final = Family(ASKS, (NAMES,))
