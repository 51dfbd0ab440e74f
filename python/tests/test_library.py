"""The library that is opened, and that its functions are declared as in its headers."""
import ctypes
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import ckks
from ckks.library import SIGNATURES

TOP = Path(__file__).resolve().parents[2]
# not offered: matrices by callbacks, which several threads call; getters that Python has itself;
# files of SEAL
LEFT_OUT = {"linear_apply", "linear_prepare", "linear_cache_free", "linear_run", "params_of",
            "slots", "ct_context", "seal_slots", "seal_rotation", "seal_params_save",
            "seal_secret_save", "seal_secret_load", "seal_public_save", "seal_public_load",
            "seal_ct_save", "seal_ct_load", "seal_plain_save", "seal_plain_load"}
TYPES = {"int": ctypes.c_int, "double": ctypes.c_double, "size_t": ctypes.c_size_t,
         "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32}


def kind(declaration):
    """The ctypes type of a C parameter or result; enums are ints, all pointers alike."""
    if re.search(r"[*\[]", declaration):
        return ctypes.c_void_p
    words = [w for w in declaration.split() if w not in ("const", "struct")]
    return None if words[0] == "void" else ctypes.c_int if words[0] == "enum" else TYPES[words[0]]


def alike(a, b):
    pointers = (ctypes.c_void_p, ctypes.c_char_p)
    return a is b or a in pointers and b in pointers


def arguments(text):
    text = re.sub(r"void \(\*progress\)\([^)]*\)", "void *progress", text)
    return [] if text.strip() == "void" else [kind(a) for a in text.split(",")]


@unittest.skipUnless((TOP / "include/ckks.h").is_file(), "without the sources: no headers")
class Headers(unittest.TestCase):
    def test_every_function_is_declared_as_in_the_headers(self):
        text = "".join(p.read_text() for p in sorted((TOP / "include/ckks").glob("*.h")))
        found = re.findall(r"^CKKS_(?:API|CHECKED) ([^;]*?)ckks_(\w+)\(((?:[^()]|\([^()]*\))*)\);",
                           text, re.M)
        self.assertEqual({name for _, name, _ in found}, set(SIGNATURES) | LEFT_OUT)
        for result, name, takes in found:
            if name in LEFT_OUT:
                continue
            mine = SIGNATURES[name]
            self.assertTrue(alike(kind(result), mine[0]), f"result of ckks_{name}")
            want = arguments(takes)
            self.assertEqual(len(want), len(mine[1]), f"arguments of ckks_{name}")
            for a, b in zip(want, mine[1]):
                self.assertTrue(alike(a, b), f"{takes} of ckks_{name}")

    def test_structs(self):
        for name, struct, file in (("ckks_literal", ckks.library.Literal, "params.h"),
                                   ("ckks_need", ckks.library.NeedStruct, "context.h")):
            text = (TOP / "include/ckks" / file).read_text()
            body = re.search(rf"struct {name} \{{(.*?)\n\}};", text, re.S).group(1)
            fields = re.findall(r"(\w+) (\w+);", re.sub(r"/\*.*?\*/", "", body, flags=re.S))
            self.assertEqual([(n, TYPES[t]) for t, n in fields], list(struct._fields_))

    def test_versions(self):
        version = (TOP / "VERSION").read_text().strip()
        self.assertEqual(ckks.version(), version)
        project = (TOP / "python/pyproject.toml").read_text()
        self.assertIn(f'\nversion = "{version}"', project)


class Opening(unittest.TestCase):
    def opened(self, library):
        """What a new interpreter says that opens this one."""
        env = {k: v for k, v in os.environ.items() if k not in ("CKKS_LIBRARY", "LD_LIBRARY_PATH")}
        env["PKG_CONFIG_LIBDIR"] = "/nonexistent"
        code = "import ckks\ntry: print(ckks.version())\nexcept ckks.CkksError as e: print(e)"
        return subprocess.run([sys.executable, "-B", "-c", code], text=True, check=True,
                              stdout=subprocess.PIPE, cwd=Path(ckks.__file__).parents[1],
                              env=dict(env, CKKS_LIBRARY=library)).stdout.strip()

    def test_libraries_that_are_none(self):
        for name in "/nonexistent/libckks.so", __file__:
            said = self.opened(name)
            self.assertRegex(said, "^IO: libckks cannot be opened: run `make install-lib`")
            self.assertIn(name, said)
        self.assertRegex(self.opened("libm.so.6"), "^IO: libm.so.6: has no ckks_error: not libckks")

    def test_pkg_config(self):
        library = os.environ.get("CKKS_LIBRARY")
        if not library or subprocess.run(["pkg-config", "--version"], capture_output=True,
                                         check=False).returncode:
            self.skipTest("CKKS_LIBRARY is not set, or pkg-config is not installed")
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(os.path.realpath(library), os.path.join(folder, "libckks.so.0"))
            with open(os.path.join(folder, "ckks.pc"), "w", encoding="ascii") as f:
                f.write(f"libdir={folder}\nName: ckks\nDescription: d\nVersion: 0\n")
            env = {k: v for k, v in os.environ.items() if k != "CKKS_LIBRARY"}
            code = "import ckks.library as l; print(next(l.candidates())); l.library()"
            said = subprocess.run([sys.executable, "-B", "-c", code], text=True, check=True,
                                  stdout=subprocess.PIPE, cwd=Path(ckks.__file__).parents[1],
                                  env=dict(env, PKG_CONFIG_LIBDIR=folder)).stdout.strip()
            self.assertEqual(said, os.path.join(folder, "libckks.so.0"))


if __name__ == "__main__":
    unittest.main()
