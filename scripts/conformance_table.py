"""What scripts/conformance and scripts/conformance-mutants both read: test/conformance/ and the tests."""
import glob
import os
import re
import sys

MUTANTS = "test/conformance/mutants.list"
FUNCTION = re.compile(r"^static void (\w+)\(void \*\*state\)", re.M)
ID = re.compile(r"\b(?:(?:MUST|SHLD)-\d+|RFC\d{4}-[\d.]+-[a-z])\b")


def requirements(path):
    """(ID, section, text, reason or '') of each line."""
    for number, line in enumerate(open(path), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        part = [p.strip() for p in line.split("|")]
        if len(part) not in (3, 4) or not ID.fullmatch(part[0].removeprefix("should ")):
            sys.exit(f"{path}:{number}: not ID | SECTION | TEXT [| REASON]")
        yield part[0], part[1], part[2], part[3] if len(part) == 4 else ""


class Mutant:
    def __init__(self, number, ids, path, text, instead, test):
        self.number, self.ids, self.path = number, ids, path
        self.text, self.instead, self.test = text, instead, test

    def unit(self):
        """(source, function) of a unit test; None: it is a script."""
        if self.test.endswith(".pkt"):
            return None
        program, _, function = self.test.partition(": ")
        folder, _, name = program.rpartition("/")
        found = [p for p in sorted(glob.glob(f"test/unit/{folder or '*'}/test_{name}.c"))
                 if re.search(rf"cmocka_unit_test\w*\(\s*{function}[,)]", open(p).read())]
        return (found[0] if len(found) == 1 else None), function

    def wrong(self):
        """Why it would say nothing, or ''."""
        where = f"{MUTANTS}:{self.number}"
        if not os.path.exists(self.path):
            return f"{where}: there is no {self.path}"
        times = open(self.path).read().count(self.text)
        if times != 1:
            return f"{where}: the text stands {times} times in {self.path}: {self.text}"
        unit = self.unit()
        exists = unit[0] if unit else os.path.exists(f"test/scripts/{self.test}")
        return "" if exists else f"{where}: there is no test {self.test}"


def unescape(text):
    return text.replace("\\|", "|").replace("\\n", "\n").replace("\\t", "\t")


def mutants():
    """The mutants, and why there is none: {ID: reason}."""
    found, none = [], {}
    for number, line in enumerate(open(MUTANTS), 1):
        if not line.strip() or line.startswith("#"):
            continue
        part = [unescape(p.strip()) for p in re.split(r"(?<!\\)\|", line)]
        ids = part[0].split()
        if len(part) == 3 and part[1] == "none":
            none.update({i: part[2] for i in ids})
        elif len(part) == 5:
            found.append(Mutant(number, ids, *part[1:]))
        else:
            sys.exit(f"{MUTANTS}:{number}: neither IDS | FILE | TEXT | INSTEAD | TEST nor IDS | none | WHY")
    return found, none
