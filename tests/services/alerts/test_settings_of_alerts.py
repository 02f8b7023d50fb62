"""The section of an alert: what is shown of it to those who may not see balances."""

from mtnet.services.alerts.settings import AlertRule


def test_a_sentence_that_names_balances_has_another_one_for_the_public():
    assert AlertRule(when="provider_silent gold").public("gold") == {}
    shown = AlertRule(when="drawdown > 10%").public("bob/vps")
    assert shown == {"public": "The condition `drawdown` holds for bob/vps."}
