"""The section of an alert: what is shown of it to those who may not see balances and networks."""

from mtnet.services.alerts.settings import AlertRule


def test_a_sentence_that_names_balances_has_another_one_for_the_public():
    assert AlertRule(when="provider_silent gold").public("gold") == {}
    shown = AlertRule(when="drawdown > 10%").public("bob/vps")
    assert shown == {"public": "The condition `drawdown` holds for bob/vps."}


def test_a_sentence_that_names_a_network_of_a_login_has_another_one_for_the_public():
    new = AlertRule(when="login_new_network bob").public("bob@192.0.2.0/24")
    assert new == {"public": "The condition `login_new_network` holds for bob."}
    banned = AlertRule(when="banned").public("192.0.2.0/24")
    assert banned == {"public": "The condition `banned` holds for a network."}
