"""MetaTrader 5's tick files: read strictly, written so that nothing is lost."""

import gzip
import io
import tempfile
import tracemalloc
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtnet.errors import ClientError
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.files.mt5 import HEADER, format_row, rows

OLD_HEADER = HEADER.replace(b"\t<FLAGS>", b"")
ROW = b"2019.02.04\t00:00:00.994\t1.14543\t1.14545\t\t\t6\r\n"
TIME = 1_549_238_400_994
RECORD = b"1.14543 1.14545 - - 1549238400994 6"


@pytest.fixture
def read(tmp_path):
    """Read the bytes of a file: `read(HEADER + ROW)`."""

    def parse(content, shift=0):
        file = tmp_path / "EURUSD.csv"
        file.write_bytes(content)
        return list(rows(file, shift))

    return parse


def line(*fields):
    return b"\t".join(fields) + b"\r\n"


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.csv", data)
    return content.getvalue()


def sentence(read, content):
    with pytest.raises(ClientError) as raised:
        read(content)
    return str(raised.value)


# There and back


def test_the_real_file_is_given_back_byte_for_byte(real_data):
    file = real_data / "EURUSD-2019-02-04.ticks.csv.gz"
    written = HEADER + b"".join(format_row(time, rest) for _, time, rest in rows(file))
    assert written == gzip.decompress(file.read_bytes())


DIGITS = st.from_regex(r"\A-?[0-9]{1,6}(\.[0-9]{1,8})?\Z")
PRICES = st.one_of(st.just(""), DIGITS)
VOLUMES = st.one_of(st.just(""), st.from_regex(r"\A[0-9]{1,6}(\.[0-9]{1,8})?\Z"))
FIELDS = st.tuples(PRICES, PRICES, PRICES, VOLUMES).filter(lambda fields: any(fields[:3]))
TICKS = st.tuples(st.integers(10**11, 10**14 - 1), FIELDS, st.integers(0, 126))


@settings(deadline=None)
@given(st.lists(TICKS, min_size=1, max_size=30))
def test_whatever_a_row_can_say_comes_back_as_it_was(ticks):
    written = [
        format_row(
            time, " ".join([*(each or "-" for each in fields), str(time), str(flags)]).encode()
        )
        for time, fields, flags in ticks
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ticks.csv"
        file.write_bytes(HEADER + b"".join(written))
        found = list(rows(file))
    assert [format_row(time, rest) for _, time, rest in found] == written
    assert [time for _, time, _ in found] == [time for time, _, _ in ticks]
    assert [rest.split()[3].decode().replace("-", "") for _, _, rest in found] == [
        volume for _, (*_, volume), _ in ticks
    ]


def test_more_rows_than_are_read_at_once_are_read_all(read, monkeypatch):
    monkeypatch.setattr(mt5, "BATCH", 2)
    found = read(HEADER + ROW * 5)
    assert found == [(number, TIME, RECORD) for number in range(2, 7)]


EXPONENTS = st.from_regex(r"\A-?[0-9]{1,3}(\.[0-9]{1,2})?[eE]-?[0-6]\Z")


@settings(deadline=None)
@given(bid=EXPONENTS, ask=st.one_of(st.just("-"), EXPONENTS))
def test_a_number_with_an_exponent_comes_back_as_the_same_number(bid, ask):
    row = format_row(TIME, f"{bid} {ask} - - {TIME} 6".encode())
    got = [each for each in row.decode().split("\t")[2:4] if each]
    assert [Decimal(each) for each in got] == [Decimal(each) for each in (bid, ask) if each != "-"]
    assert not any("e" in each.lower() for each in got)


def test_a_generated_day_is_given_back_byte_for_byte(read):
    written = HEADER + b"".join(
        format_row(TIME + at * 617, b"1.%05d 1.%05d - %d" % (at, at + 2, at % 5))
        for at in range(2 * mt5.BATCH + 3)
    )
    found = read(written)
    assert HEADER + b"".join(format_row(time, rest) for _, time, rest in found) == written
    assert found[-1][0] == 2 * mt5.BATCH + 4


# Writing


def test_an_absent_field_is_empty():
    assert format_row(TIME, b"1.14543 - - - 1549238400994 2") == line(
        b"2019.02.04", b"00:00:00.994", b"1.14543", b"", b"", b"", b"2"
    )


@pytest.mark.parametrize(
    ("record", "flags"),
    [(b"1", b"2"), (b"1 2", b"6"), (b"- - 3", b"8"), (b"1 2 3 4", b"30"), (b"1 2 3 4 - 0", b"0")],
)
def test_flags_that_were_not_sent_are_those_of_the_fields(record, flags):
    assert format_row(TIME, record).rstrip().split(b"\t")[-1] == flags


@pytest.mark.parametrize(
    ("sent", "written"),
    [(b"1e-5", b"0.00001"), (b"1.25E3", b"1250"), (b"-1.50e1", b"-15.0"), (b"1.09870", b"1.09870")],
)
def test_a_number_has_no_exponent_and_keeps_its_digits(sent, written):
    assert format_row(TIME, sent).split(b"\t")[2] == written


def test_the_time_of_a_row_is_the_one_that_orders_it():
    row = format_row(1_700_000_000_007, b"1.1")
    assert row.startswith(b"2023.11.14\t22:13:20.007\t")


# Reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_text_is_read_in_every_encoding_that_metatrader_writes(read, encoding, pack):
    content = pack((HEADER + ROW).decode().encode(encoding))
    assert read(content) == [(2, TIME, RECORD)]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b""])
def test_rows_end_in_either_way_and_the_last_one_may_not(read, end):
    assert read((HEADER + ROW).rstrip().replace(b"\r\n", end or b"\n") + end) == [(2, TIME, RECORD)]


def test_the_older_form_has_no_flags(read):
    row = line(b"2019.02.04", b"00:00:00.994", b"1.14543", b"1.14545", b"0", b"0")
    assert read(OLD_HEADER + row) == [(2, TIME, b"1.14543 1.14545 0 0 1549238400994")]


def test_a_time_may_lack_its_milliseconds(read):
    ((_, time, rest),) = read(HEADER + ROW.replace(b".994", b""))
    assert (time, rest) == (TIME - 994, b"1.14543 1.14545 - - 1549238400000 6")


@pytest.mark.parametrize("shift", [7_200_000, -19_800_000])
def test_a_shift_is_added_to_each_time(read, shift):
    ((_, time, rest),) = read(HEADER + ROW, shift)
    assert time == TIME + shift
    assert rest.split()[4] == b"%d" % (TIME + shift)


def test_empty_lines_are_left_out_and_counted(read):
    assert [number for number, _, _ in read(HEADER + b"\r\n" + ROW + b"\r\n")] == [3]


DAY, CLOCK = b"2019.02.04", b"00:00:00.994"


@pytest.mark.parametrize(
    "row",
    [
        line(DAY, CLOCK, b"1,14543", b"1.14545", b"", b"", b"6"),
        line(DAY, CLOCK, b"1.1 1.2", b"1.14545", b"", b"", b"6"),
        line(DAY, CLOCK, b"nan", b"1.14545", b"", b"", b"6"),
        line(DAY, CLOCK, b"", b"", b"", b"", b"6"),
        line(DAY, CLOCK, b"1", b"", b"", b"-1", b"6"),
        line(DAY, CLOCK, b"1", b"", b"", b"", b"buy"),
        line(DAY, CLOCK),
        line(DAY, CLOCK, b"1", b"", b"", b"", b"6", b"7"),
        line(b"2019.02.30", CLOCK, b"1", b"", b"", b"", b"6"),
        line(b"04.02.2019", CLOCK, b"1", b"", b"", b"", b"6"),
        line(DAY, b"00:00:61", b"1", b"", b"", b"", b"6"),
        line(DAY, b"0:00", b"1", b"", b"", b"", b"6"),
        b"\xff\n",
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_number(read, row):
    assert sentence(read, HEADER + ROW + row + ROW).startswith("Line 3 of ")


@pytest.mark.parametrize(
    "content",
    [
        ROW,
        b"\x89PNG\r\n\x1a\n\xff",
        b"<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n",
    ],
    ids=["no header", "binary", "bars"],
)
def test_what_is_no_export_of_ticks_is_told_apart(read, content):
    assert "not an export of ticks" in sentence(read, content)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(HEADER + ROW)[:-12], zipped(a=HEADER + ROW)[:-9]],
    ids=["gzip", "zip"],
)
def test_a_packed_file_that_was_cut_is_told_in_a_sentence(read, content):
    assert "cannot be read" in sentence(read, content)


@pytest.mark.parametrize("cut", range(1, len(ROW)))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_last_line_that_was_cut_is_refused_or_has_all_its_numbers(read, encoding, cut):
    content = (HEADER + ROW + ROW[:-cut]).decode().encode(encoding)
    whole = ROW[:-cut].count(b"\t") == 6
    if whole:
        (_, last) = read(content)
        assert last[2].startswith(RECORD[:-2])
    else:
        assert sentence(read, content).startswith("Line 3 of ")


def test_a_last_character_that_was_cut_is_refused(read):
    assert sentence(read, (HEADER + ROW).decode().encode("utf-16")[:-1]).startswith("Line 3 of ")


def test_an_empty_file_is_told_so(read, tmp_path):
    assert sentence(read, b"") == f"{tmp_path / 'EURUSD.csv'} is empty."


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: zipped(a=data)])
@pytest.mark.parametrize("number", [1, 3])
def test_a_line_without_an_end_does_not_fill_the_memory(read, pack, number):
    content = pack((HEADER + ROW if number == 3 else b"") + b"1" * 30_000_000)
    tracemalloc.start()
    said = sentence(read, content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said.startswith(f"Line {number} of ")
    assert "has more than 1024 characters" in said
    assert peak < 2_000_000


@pytest.mark.parametrize("names", range(3, 8))
def test_a_header_may_name_the_first_columns_alone(read, names):
    head = b"\t".join(HEADER.strip().split(b"\t")[:names])
    row = b"\t".join(ROW.strip().split(b"\t")[:names])
    ((_, time, rest),) = read(head + b"\r\n" + row + b"\r\n")
    assert (time, rest.split()[0]) == (TIME, b"1.14543")
    assert "fields" in sentence(read, head + b"\r\n" + ROW.strip() + b"\t7\r\n")


def test_an_encrypted_zip_file_is_told_what_to_do(read):
    packed = bytearray(zipped(a=HEADER + ROW))
    packed[6] |= 1
    packed[packed.find(b"PK\x01\x02") + 8] |= 1
    assert "a.csv in it is encrypted" in sentence(read, bytes(packed))


def test_a_file_that_is_not_there_is_told_in_a_sentence(tmp_path):
    with pytest.raises(ClientError, match=r"nosuch\.csv cannot be read: No such file"):
        list(rows(tmp_path / "nosuch.csv"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (line(DAY, CLOCK, b"1,14543", b"", b"", b"", b"2"), "decimal point"),
        (line(DAY, CLOCK, b"1.1", b"", b"", b"1e999", b"2"), "VOLUME is a volume"),
        (line(DAY, CLOCK, b"+1", b"", b"", b"", b"2"), "BID is a price"),
        (line(DAY, CLOCK, b"1", b"", b"", b"1 2", b""), "at most 7 fields"),
        (line(DAY, CLOCK), "has 2 fields"),
        (line(DAY, b"24:00:00", b"1", b"", b"", b"", b"2"), "'24:00:00' is not a time"),
        (line(DAY, b"00:00:00,994", b"1", b"", b"", b"", b"2"), "'00:00:00,994' is not a time"),
        (line(b"2019.2.4", CLOCK, b"1", b"", b"", b"", b"2"), "'2019.2.4' is not a date"),
        (line(b"2019.02.30", CLOCK, b"1", b"", b"", b"", b"2"), "has no date and time"),
        (line(b"1970.01.01", CLOCK, b"1", b"", b"", b"", b"2"), "not a date from 1973.03.04"),
        (line(b"9999.01.01", CLOCK, b"1", b"", b"", b"", b"2"), "not a date from 1973.03.04"),
        (line(DAY, CLOCK, b"\xff", b"", b"", b"", b"2"), r"\\xff"),
    ],
)
def test_a_line_far_down_is_named_with_its_number_its_file_and_the_reason(
    read, tmp_path, monkeypatch, row, reason
):
    monkeypatch.setattr(mt5, "BATCH", 2)
    said = sentence(read, HEADER + ROW * 5 + row + ROW)
    assert said.startswith(f"Line 7 of {tmp_path / 'EURUSD.csv'}")
    assert reason in said


def test_a_message_shows_the_line_as_text(read):
    said = sentence(read, HEADER + line(DAY, CLOCK, b"1.1", b"x", b"", b"", b"2"))
    assert said.endswith(
        "ASK is a price such as 1.09876, or - for none: "
        "'2019.02.04\\t00:00:00.994\\t1.1\\tx\\t\\t\\t2'."
    )


# As other programs write them


@pytest.mark.parametrize("separator", [b",", b";", b"\t"])
@pytest.mark.parametrize("header", [HEADER, OLD_HEADER], ids=["flags", "no flags"])
def test_fields_are_separated_as_those_of_the_first_line(read, separator, header):
    text = header + ROW.removesuffix(b"\t6\r\n") + b"\r\n"
    expected = (2, TIME, RECORD.removesuffix(b" 6"))
    ((number, time, rest),) = read(text.replace(b"\t", separator))
    assert (number, time, rest.removesuffix(b" -")) == expected


@pytest.mark.parametrize("fields", [1, 2, 3, 4, 5])
def test_what_a_short_row_lacks_is_absent(read, fields):
    row = line(DAY, CLOCK, *[b"1.14543", b"1.14545", b"", b"", b"6"][:fields])
    ((_, time, rest),) = read(HEADER + row)
    expected = [b"1.14543", b"1.14545", b"-", b"-", b"-"][: min(fields, 2)]
    assert time == TIME
    assert [each for each in rest.split()[:4] if each != b"-"] == expected


def test_empty_fields_too_many_are_nothing(read):
    assert read(HEADER + ROW.replace(b"\r\n", b"\t\t\r\n")) == [(2, TIME, RECORD)]


@pytest.mark.parametrize("blanks", [b" %b", b"%b ", b" %b  "])
def test_blanks_beside_a_number_are_nothing(read, blanks):
    row = line(DAY, CLOCK, blanks % b"1.14543", b"1.14545", b"", b"", blanks % b"6")
    assert read(HEADER + row) == [(2, TIME, RECORD)]


def test_a_volume_alone_goes_with_the_last_price_before_it(read):
    deals = [
        line(DAY, CLOCK, b"110000", b"110005", b"110010", b"1", b"30"),
        line(DAY, CLOCK, b"", b"", b"", b"5", b"16"),
        line(DAY, CLOCK, b"", b"", b"110015", b"2", b"24"),
        line(DAY, CLOCK, b"", b"", b"", b"7", b"16"),
    ]
    found = [rest.rsplit(b" ", 2)[0] for _, _, rest in read(HEADER + b"".join(deals))]
    assert found == [b"110000 110005 110010 1", b"- - 110010 5", b"- - 110015 2", b"- - 110015 7"]


def test_a_volume_without_any_deal_before_it_goes_with_the_market(read):
    quotes = line(DAY, CLOCK, b"1.1", b"1.2", b"", b"", b"6") + line(
        DAY, CLOCK, b"", b"", b"", b"5", b"16"
    )
    assert read(HEADER + quotes)[1][2].startswith(b"1.1 1.2 - 5 ")


def test_a_volume_before_any_price_is_told_with_its_line(read):
    said = sentence(read, HEADER + line(DAY, CLOCK, b"", b"", b"", b"5", b"16"))
    assert said.startswith("Line 2 of ")
    assert "Of BID, ASK and LAST one is needed" in said


@pytest.mark.parametrize(
    ("sent", "kept"), [(b"512.0599999999999", b"512.06"), (b"1e+06", b"1e+06"), (b"5.E1", None)]
)
def test_numbers_are_read_as_programs_print_them(read, sent, kept):
    row = line(DAY, CLOCK, sent, b"", b"", b"", b"2")
    if kept is None:
        assert "BID is a price" in sentence(read, HEADER + row)
    else:
        assert read(HEADER + row)[0][2].split()[0] == kept


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_known_without_its_mark(read, encoding):
    assert read((HEADER + ROW).decode().encode(encoding)) == [(2, TIME, RECORD)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_the_one_file_of_a_zip_file_is_read(read, encoding):
    assert read(zipped(EURUSD=(HEADER + ROW).decode().encode(encoding))) == [(2, TIME, RECORD)]


def test_of_several_files_in_a_zip_file_none_is_read_and_they_are_named(read):
    said = sentence(read, zipped(EURUSD=HEADER + ROW, GBPUSD=HEADER + ROW))
    assert "holds 2 files (EURUSD.csv, GBPUSD.csv)" in said


@pytest.mark.parametrize(
    "content",
    [zipped(), zipped(a=HEADER)[:-9], b"PK\3\4 and no more"],
    ids=["empty", "cut", "only its mark"],
)
def test_a_zip_file_without_a_file_that_can_be_read_is_told(read, content):
    said = sentence(read, content)
    assert "cannot be read" in said or "holds 0 files (none)" in said


def test_what_is_no_export_is_shown_its_first_line(read):
    said = sentence(read, b"time,bid,ask\r\n1,2,3\r\n")
    assert said.endswith("but 'time,bid,ask'.")


def test_a_compressed_file_that_was_changed_is_told_in_a_sentence(read, tmp_path):
    said = sentence(read, gzip.compress(HEADER + ROW)[:-8] + bytes(8))
    assert said.startswith(f"{tmp_path / 'EURUSD.csv'} cannot be read: CRC check failed")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ClientError) as raised:
        list(rows(tmp_path))
    assert str(raised.value) == f"{tmp_path} cannot be read: Is a directory."
