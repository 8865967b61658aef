"""Fields, and request serializers made of them."""

import pytest

from tracker.api.errors import BadInput, InvalidField
from tracker.api.fields import Flag, Hash64, Id, LeaseId, Rate, Text, WholeNumber, WrongValue, shown
from tracker.api.serializers import RequestSerializer


class Request(RequestSerializer):
    number = WholeNumber(low=0, high=9)
    text = Text(default="none", longest=5)
    flag = Flag(default=False)
    hash64 = Hash64(also="hash_u64", default=0)
    message = Text(also="Message", required=False)


def test_it_works():
    body = {"number": 5, "text": "abc", "flag": True, "hash_u64": 2**64 - 1, "Message": "m"}
    assert Request.parse(body) == {"number": 5, "text": "abc", "flag": True, "hash64": -1, "message": "m"}


def test_defaults():
    assert Request.parse({"number": 0}) == {"number": 0, "text": "none", "flag": False, "hash64": 0, "message": None}


def test_null_counts_as_absent():
    body = {"number": 0, "text": None, "flag": None, "hash64": None, "hash_u64": None, "message": None, "Message": None}
    assert Request.parse(body) == Request.parse({"number": 0})


@pytest.mark.parametrize("body", [{}, {"number": None}])
def test_required_field_is_missing(body):
    with pytest.raises(InvalidField, match=r"^number: is missing\.$"):
        Request.parse(body)


def test_unknown_keys_are_ignored():
    assert Request.parse({"number": 0, "colour": "green", "NUMBER": "x"}) == Request.parse({"number": 0})


def test_body_is_not_modified():
    body = {"number": 5, "Message": "m"}
    Request.parse(body)
    assert body == {"number": 5, "Message": "m"}


@pytest.mark.parametrize("body", [[], [{}], "text", "", 5, 0, 1.5, True, None])
def test_body_must_be_an_object(body):
    with pytest.raises(BadInput, match="must be a JSON object"):
        Request.parse(body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", "5"),
        ("text", 5),
        ("flag", 1),
        ("hash64", "x"),
        ("message", []),
    ],
)
def test_message_names_the_field(field, value):
    with pytest.raises(InvalidField, match=rf"^{field}: must be ") as caught:
        Request.parse({"number": 0, field: value})
    assert caught.value.status == 400


def test_rules_between_fields():
    class Range(RequestSerializer):
        low = WholeNumber(low=0, high=9)
        high = WholeNumber(low=0, high=9)

        @classmethod
        def check(cls, values):
            if values["low"] > values["high"]:
                raise InvalidField("low", "is above high.")
            values["size"] = values["high"] - values["low"]

    assert Range.parse({"low": 2, "high": 5}) == {"low": 2, "high": 5, "size": 3}
    with pytest.raises(InvalidField, match="is above high"):
        Range.parse({"low": 5, "high": 2})


class Number(RequestSerializer):
    a = WholeNumber(low=0, high=9, also="b", required=False)


class Words(RequestSerializer):
    a = Text(shortest=1, also="b", required=False)


class Bits(RequestSerializer):
    a = Hash64(also="b", required=False)


@pytest.mark.parametrize(
    ("request_serializer", "first", "second", "taken"),
    [
        (Number, None, None, None),
        (Number, 5, None, 5),
        (Number, None, 5, 5),
        (Number, 0, None, 0),
        (Number, None, 0, 0),
        (Number, 0, 5, 5),
        (Number, 5, 0, 5),
        (Number, 5, 5, 5),
        (Number, 0, 0, 0),
        (Words, "", "x", "x"),
        (Words, "x", "", "x"),
        (Words, "x", "x", "x"),
        (Bits, -1, 2**64 - 1, -1),
    ],
)
def test_field_with_two_names(request_serializer, first, second, taken):
    assert request_serializer.parse({"a": first, "b": second}) == {"a": taken}


@pytest.mark.parametrize(
    ("request_serializer", "first", "second", "problem"),
    [
        (Number, 5, 6, "a: differs from b"),
        (Words, "x", "y", "a: differs from b"),
        (Words, "", None, "a: must not be empty"),
        (Words, None, "", "b: must not be empty"),
        (Words, "", "", "a: must not be empty"),
        (Number, 5, False, "b: must be a whole number"),
        (Number, False, 5, "a: must be a whole number"),
        (Number, 1, 1.0, "b: must be a whole number"),
    ],
)
def test_field_with_two_names_refuses(request_serializer, first, second, problem):
    with pytest.raises(InvalidField, match=f"^{problem}"):
        request_serializer.parse({"a": first, "b": second})


@pytest.mark.parametrize("value", [-3, 0, 7])
def test_whole_number_takes(value):
    assert WholeNumber(low=-3, high=7).parse(value) == value


@pytest.mark.parametrize("value", [-4, 8, 2**64, 1.0, 1.5, float(2**63), True, False, "1", "", [1], {}, None])
def test_whole_number_refuses(value):
    with pytest.raises(WrongValue, match="must be a whole number from -3 to 7, not "):
        WholeNumber(low=-3, high=7).parse(value)


@pytest.mark.parametrize("value", [1, 2**53 + 1, 2**63 - 1])
def test_id_takes(value):
    assert Id().parse(value) == value


@pytest.mark.parametrize("value", [0, -1, 2**63, True, "1", 1.0])
def test_id_refuses(value):
    with pytest.raises(WrongValue, match="whole number from 1 to 9223372036854775807"):
        Id().parse(value)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (0, 0),
        (1, 1),
        (-1, -1),
        (2**53 + 1, 2**53 + 1),
        (2**63 - 1, 2**63 - 1),
        (2**63, -(2**63)),
        (2**64 - 1, -1),
        (-(2**63), -(2**63)),
    ],
)
def test_hash_takes_any_64_bits(sent, read):
    assert Hash64().parse(sent) == read


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, True, "1", 1.0, 1.8446744073709552e19])
def test_hash_refuses(value):
    with pytest.raises(WrongValue, match="whole number"):
        Hash64().parse(value)


def test_flag_takes():
    assert Flag().parse(True) is True
    assert Flag().parse(False) is False


@pytest.mark.parametrize("value", [0, 1, "true", "", "false", 1.0, [], {}])
def test_flag_refuses(value):
    with pytest.raises(WrongValue, match="must be true or false, not "):
        Flag().parse(value)


@pytest.mark.parametrize("value", ["", " ", "a", "  a\n", "Übung", "\U0001f680" * 5])
def test_text_is_not_changed(value):
    assert Text(longest=5).parse(value) == value


@pytest.mark.parametrize(
    ("options", "value", "problem"),
    [
        ({}, 5, "must be text, not 5."),
        ({}, True, "must be text, not true."),
        ({}, ["a"], "must be text, not an array."),
        ({}, {"a": 1}, "must be text, not an object."),
        ({"shortest": 1}, "", "must not be empty."),
        ({"shortest": 3}, "", "must not be empty."),
        ({"shortest": 3}, "ab", "must be at least 3 characters long."),
        ({}, "a\0", "must not contain the character U+0000"),
        ({"longest": 5}, "123456", "must be at most 5 characters long, not 6."),
    ],
)
def test_text_refuses(options, value, problem):
    with pytest.raises(WrongValue) as caught:
        Text(**options).parse(value)
    assert str(caught.value).startswith(problem)


def test_lease_takes():
    lease = "0b0e5f80-8d8c-4a53-9c7e-9a5f6e6d5c4b"
    assert LeaseId().parse(lease) == lease


@pytest.mark.parametrize("value", ["", "x", "0b0e5f80", 5, True, [], "0b0e5f80-8d8c-4a53-9c7e-9a5f6e6d5c4b\0"])
def test_lease_refuses(value):
    with pytest.raises(WrongValue):
        LeaseId().parse(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (1.5, "1.5"),
        ("a", 'the text "a"'),
        ("x" * 40, f'the text "{"x" * 40}"'),
        ("x" * 41, f'the text "{"x" * 40}…"'),
        ([1], "an array"),
        ({"a": 1}, "an object"),
    ],
)
def test_values_are_shown_in_json_terms(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("sent", "read"),
    [(0, 0), (0.0, 0), (2, 2), (1e-6, 1e-6), (1e9, 1e9), (1e9 + 1, 0), (1.7976931348623157e308, 0), (2**63, 0)],
)
def test_rate_takes(sent, read):
    rate = Rate(low=1e-6, high=1e9).parse(sent)
    assert (type(rate), rate) == (float, read)


@pytest.mark.parametrize("value", [-1, -1.7976931348623157e308, 1e-7, True, "1", [], None])
def test_rate_refuses(value):
    with pytest.raises(WrongValue, match="0 \\(unlimited\\)"):
        Rate(low=1e-6, high=1e9).parse(value)


def test_query():
    assert Request.parse_query({"number": "5"})["number"] == 5
    with pytest.raises(InvalidField, match=r'^number: must be a whole number from 0 to 9, not the text "x"\.$'):
        Request.parse_query({"number": "x"})
    with pytest.raises(BadInput, match=r'^"nmuber" is no parameter of this address; it takes Message and flag and '):
        Request.parse_query({"nmuber": "5"})
