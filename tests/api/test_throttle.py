"""Rate limits per address, and the client's address behind proxies."""

from ipaddress import ip_network

import pytest
from django.test import RequestFactory

from tests.client import Api
from tracker import addresses
from tracker.api.throttle import client_address
from workers.models import Worker

URL = "/worker/create"

PROXY, OTHER_PROXY, CLIENT, ELSEWHERE = "10.0.0.1", "10.0.0.2", "203.0.113.7", "198.51.100.9"


def address(remote, forwarded=None):
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers))


def test_it_works(settings):
    settings.TRUSTED_PROXIES = [ip_network(PROXY)]
    assert address(PROXY, CLIENT) == CLIENT


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "client"),
    [
        # No proxy is trusted, or not this one.
        ([], CLIENT, None, CLIENT),
        ([], CLIENT, ELSEWHERE, CLIENT),
        ([], PROXY, CLIENT, PROXY),
        ([OTHER_PROXY], PROXY, CLIENT, PROXY),
        # A trusted proxy that names no client.
        ([PROXY], PROXY, None, PROXY),
        ([PROXY], PROXY, "", PROXY),
        ([PROXY], PROXY, " , ", PROXY),
        # The client may have made up the addresses further left.
        ([PROXY], PROXY, f"{ELSEWHERE}, {CLIENT}", CLIENT),
        ([PROXY], PROXY, f"{PROXY}, {CLIENT}", CLIENT),
        ([PROXY], PROXY, f"nonsense,, {CLIENT} ", CLIENT),
        ([PROXY], PROXY, f"{CLIENT}, {OTHER_PROXY}", OTHER_PROXY),
        # A chain.
        ([PROXY, OTHER_PROXY], PROXY, f"{ELSEWHERE}, {CLIENT}, {OTHER_PROXY}", CLIENT),
        (["10.0.0.0/8"], PROXY, f"{ELSEWHERE},{CLIENT},{OTHER_PROXY},10.9.9.9", CLIENT),
        (["10.0.0.0/8"], PROXY, f"{OTHER_PROXY}, {PROXY}", OTHER_PROXY),
        # Networks, also when written with host bits.
        (["10.0.0.7/8"], PROXY, CLIENT, CLIENT),
        (["10.1.0.0/16"], PROXY, CLIENT, PROXY),
        (["0.0.0.0/0"], CLIENT, ELSEWHERE, ELSEWHERE),
        # IPv6.
        (["::1"], "::1", "2001:db8::7", "2001:db8::7"),
        (["0:0:0:0:0:0:0:1"], "::1", CLIENT, CLIENT),
        (["fd00::/8"], "fd12::1", f"{ELSEWHERE}, 2001:db8::7, fd00::2", "2001:db8::7"),
        (["fd00::/8"], "2001:db8::7", CLIENT, "2001:db8::7"),
        (["10.0.0.0/8"], "::1", CLIENT, "::1"),
        (["::/0"], PROXY, CLIENT, PROXY),
        # With the port from which the client, or the last proxy, was connected.
        ([PROXY], PROXY, f"{CLIENT}:40001", CLIENT),
        ([PROXY, OTHER_PROXY], PROXY, f"{CLIENT}:40001, {OTHER_PROXY}:55123", CLIENT),
        (["fd00::/8"], "fd12::1", "[2001:db8::7]:443", "2001:db8::7"),
        (["fd00::/8"], "fd12::1", "[2001:db8::7], [fd00::2]:9", "2001:db8::7"),
        (["fd00::/8"], "fd12::1", '"[2001:DB8::7]:443"', "2001:db8::7"),
        ([PROXY], PROXY, f"::ffff:{CLIENT}", CLIENT),
        ([PROXY], PROXY, f"[::ffff:{CLIENT}]:40001", CLIENT),
        # A Unix socket has no address; requests through it come from this machine.
        (["127.0.0.1"], "", CLIENT, CLIENT),
        ([PROXY], "", CLIENT, ""),
        (["127.0.0.1"], "nonsense", CLIENT, "nonsense"),
    ],
)
def test_client_address(settings, trusted, remote, forwarded, client):
    settings.TRUSTED_PROXIES = [ip_network(one, strict=False) for one in trusted]
    assert address(remote, forwarded) == client


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:40001", CLIENT),
        (f" {CLIENT} ", CLIENT),
        (f"::ffff:{CLIENT}", CLIENT),
        ("2001:db8:0:7::1", "2001:db8:0:7::/64"),
        ("[2001:db8:0:7:1:2:3:4]:443", "2001:db8:0:7::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(written, counted):
    assert addresses.counted(written) == counted


def test_ipv4_proxy_on_a_dual_stack_socket(settings):
    settings.TRUSTED_PROXIES = [ip_network(PROXY)]
    assert address(f"::ffff:{PROXY}", CLIENT) == CLIENT


@pytest.fixture
def create(counters, api):
    def create(remote=CLIENT, *, headers=None):
        api.client.defaults["REMOTE_ADDR"] = remote
        return api.post(URL, {"alias": "a"}, headers=headers)

    return create


def test_limit(settings, create):
    settings.WORKER_CREATE_RATE = "2/h"
    assert [create().status for _ in range(2)] == [200, 200]
    answer = create()
    assert answer.status == 429
    assert CLIENT in answer.message
    delay = answer.json["rate_limit_delay"]
    assert 1 <= delay <= 3600
    assert int(answer.headers["Retry-After"]) == delay
    assert "content" not in answer.json
    assert Worker.objects.count() == 2


def test_limit_is_per_address(settings, create):
    settings.WORKER_CREATE_RATE = "1/h"
    assert [create().status, create().status] == [200, 429]
    assert create(ELSEWHERE).status == 200
    assert create("2001:db8::7").status == 200


def test_limit_is_shared_by_both_prefixes(settings, create, api):
    settings.WORKER_CREATE_RATE = "1/h"
    assert create().status == 200
    assert api.post(f"/api{URL}", {"alias": "a"}).status == 429


def test_header_of_an_untrusted_client_is_ignored(settings, create):
    settings.WORKER_CREATE_RATE = "1/h"
    assert create(headers={"X-Forwarded-For": "192.0.2.1"}).status == 200
    assert create(headers={"X-Forwarded-For": "192.0.2.2"}).status == 429


def test_clients_behind_a_trusted_proxy(settings, create):
    settings.WORKER_CREATE_RATE = "1/h"
    settings.TRUSTED_PROXIES = [ip_network(PROXY)]
    assert create(PROXY, headers={"X-Forwarded-For": CLIENT}).status == 200
    assert create(PROXY, headers={"X-Forwarded-For": ELSEWHERE}).status == 200
    assert create(PROXY, headers={"X-Forwarded-For": f"192.0.2.1, {CLIENT}"}).status == 429


def test_invalid_requests_count_as_well(settings, create, api):
    settings.WORKER_CREATE_RATE = "1/h"
    api.client.defaults["REMOTE_ADDR"] = CLIENT
    assert api.post(URL, b"{").status == 400
    assert create().status == 429


def test_empty_rate_limits_nothing(settings, create):
    settings.WORKER_CREATE_RATE = ""
    assert [create().status for _ in range(5)] == [200] * 5


def test_rate_is_read_at_each_request(settings, create):
    settings.WORKER_CREATE_RATE = "1/h"
    assert [create().status, create().status] == [200, 429]
    settings.WORKER_CREATE_RATE = ""
    assert create().status == 200


def test_other_calls_are_not_limited(settings, create, api):
    settings.WORKER_CREATE_RATE = "1/h"
    number = create().content["worker"]["id"]
    assert create().status == 429
    assert api.get(f"/worker/get/{number}").status == 200


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_all_count(settings, counters, racing):
    settings.WORKER_CREATE_RATE = "3/h"
    answers = racing([lambda: Api().post(URL, {"alias": "a"}).status] * 8)
    assert sorted(answers) == [200] * 3 + [429] * 5
    assert Worker.objects.count() == 3
