"""What a name may be, and when two names count as the same. For managers, projects and workers' aliases.

The rules apply when a name is given; a stored name that breaks them stays valid.
"""

import logging
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from tracker.text import has_unseen, visible

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger("tracker.names")

# Problems of a name. Pages translate them: see webui.error_texts.
NOT_VISIBLE = "must be one line of visible characters, without control, format or direction characters."
MIXED_SCRIPTS = "must not mix letters of different scripts, such as Latin and Cyrillic, which look alike."
BLANK_ENDS = "must not begin or end with a blank."

# No longer text is normalized or compared; the longest names have 255 characters. Normalizing sorts the accents of each
# letter, in time that grows with the square of their number: 48,000 accents take seconds.
LONGEST_TEXT = 1024

# Separates a key from the id of a row whose name was like another's when keys were introduced. No key contains it.
KEY_SUFFIX = "\n"

# Variation selectors choose how the character before them looks. Elsewhere than after a symbol, they are not seen.
_VARIATION = re.compile("[\ufe00-\ufe0f]")
_EMOJI_VARIATION = re.compile("([\u2000-\u2bff\u3030-\u303d\u3297\u3299\U0001f000-\U0001faff])[\ufe0e\ufe0f]")

# Scripts that are written together.
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
# First words of character names that are not those of their script; None: the character belongs to all scripts.
_FIRST_WORDS = {
    "COMBINING": None,
    "MODIFIER": None,
    "ARABIC-INDIC": "ARABIC",
    "EXTENDED": "ARABIC",
    "IDEOGRAPHIC": "CJK",
    "HANGZHOU": "CJK",
    "HENTAIGANA": "HIRAGANA",
    "KATAKANA-HIRAGANA": "KATAKANA",
    "CARON": None,
    "VEDIC": None,
}
# Letters that look like Latin ones, in upper or lower case: a name in one script can look like one in another.
_LOOKS_LIKE = str.maketrans(
    {
        **dict(zip("авгеѕіјкмнорԛстухһԁԝ", "abresijkmhopqctyxhdw", strict=True)),  # Cyrillic
        **dict(zip("αβεζηικμνορτυχϲ", "abezhikmvoptyxc", strict=True)),  # Greek
        **dict(zip("օոսհցգյ", "onuhgqj", strict=True)),  # Armenian
        **dict(zip("ᎪᏴᏟᎠᎬᏀᎻᎫᏦᏞᎷᏢᎡᏒᏚᎢᏙᎳᎩᏃ", "abcdeghjklmprrstvwyz", strict=True)),  # Cherokee
        **dict(zip("ꓮꓐꓚꓓꓰꓝꓖꓧꓲꓙꓗꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ", "abcdefghijklmnoprstuvwxyz", strict=True)),  # Lisu
        **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True)),  # small capitals
        **dict(zip("ɑɡıɩ", "agii", strict=True)),  # further Latin letters
    }
)


def normalized(name: str) -> str:
    """The name in Unicode's form NFKC: composed accents, no full-width letters or ligatures.

    Text that is too long for any name comes back as it is.
    """
    return name if len(name) > LONGEST_TEXT else unicodedata.normalize("NFKC", name)


def key_of(name: str) -> str:
    """What is compared instead of the name: equal for names that people take for the same.

    Such names differ only in their case, their encoding (NFKC), invisible characters, the number of blanks, or in
    letters of another script that look the same. Text that is too long for a name has an empty key: no name's.
    """
    if len(name) > LONGEST_TEXT:
        return ""
    folded = unicodedata.normalize("NFKC", normalized(name).casefold())
    visible_only = _VARIATION.sub("", folded)
    seen = "".join(character for character in visible_only if character.isspace() or not has_unseen(character))
    # The table has letters without accents: Cyrillic ё is е with an accent. A dot on an i is not seen.
    letters = unicodedata.normalize("NFD", seen).translate(_LOOKS_LIKE).replace("i\u0307", "i")
    return " ".join(unicodedata.normalize("NFC", letters).split())


def key_for(name: str, stored: str | None, *, is_new: bool) -> str | None:
    """The key to store with a name: the stored one, suffix and all, unless the row is new or the name has changed."""
    key = key_of(name)
    if is_new:
        return key
    return stored if stored is None or stored.partition(KEY_SUFFIX)[0] == key else key


def give_keys(rows: "QuerySet[Any]", *, name: str, key: str) -> None:
    """Give each row its key, for the migrations that add keys; warn of names that count as an older row's name.

    Such a row keeps working: its key gets a suffix, so that it is found by its exact name only.
    """
    taken: set[str] = set()
    for row in rows.order_by("pk").only("pk", name):
        called = getattr(row, name)
        own = key_of(called)
        if own in taken:
            kind = rows.model._meta.verbose_name
            logger.warning('The name of %s %s, "%s", is like an older one; it is kept.', kind, row.pk, visible(called))
            own = f"{own}{KEY_SUFFIX}{row.pk}"
        taken.add(own)
        rows.filter(pk=row.pk).update(**{key: own})


def problem_with(name: str, *, may_have_blank_ends: bool = False) -> str | None:
    """Why this can't become a name; None if it can."""
    # How keyboards send many emoji; a key does not contain it.
    whole = _EMOJI_VARIATION.sub(r"\1", normalized(name))
    categories = [unicodedata.category(character) for character in whole]
    # C: control, format, private and unassigned characters; marks (M) and blanks (Z) alone show nothing.
    if has_unseen(name) or _VARIATION.search(whole) or any(category[0] == "C" for category in categories):
        return NOT_VISIBLE
    if all(category[0] in "MZ" for category in categories):
        return NOT_VISIBLE
    if name != name.strip() and not may_have_blank_ends:
        return BLANK_ENDS
    scripts = {script for script in map(_script_of, whole) if script is not None}
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        return MIXED_SCRIPTS
    return None


def _script_of(character: str) -> str | None:
    """The script of a letter or digit; None for characters of all scripts.

    Python has no table of scripts, but the names of letters begin with theirs: CYRILLIC SMALL LETTER A.
    """
    if character.isascii():
        return "LATIN" if character.isalpha() else None
    category = unicodedata.category(character)
    if category[0] not in "LM" and category not in ("Nd", "Nl"):
        return None
    first = unicodedata.name(character, "").partition(" ")[0]
    return _FIRST_WORDS.get(first, first)
