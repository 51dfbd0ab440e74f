"""The client: what the program is told, what comes back, at a toy ring with a tiny model."""
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np

import thor
from thor.program import table, words_of

TOY = "toy11"
TINY = {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 48, "num_hidden_layers": 1,
        "num_attention_heads": 3, "intermediate_size": 80, "vocab_size": 500, "type_vocab_size": 2,
        "max_position_embeddings": 64, "layer_norm_eps": 1e-12}
# Logits of ciphertexts err from the plain model's as its polynomials in doubles do, and by noise:
# three bootstraps of 2^-16 at most each, which one layer and its head make some 2^7 times larger.
NOISE = 2**-9


def has(program):
    return bool(program) and shutil.which(program) is not None


class Fake(unittest.TestCase):
    """A program in thor's place that notes its words and its standard input."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = os.path.join(folder.name, "log")
        path = os.path.join(folder.name, "thor fake")
        with open(path, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >'{self.log}'\ncat >'{self.log}.in'\n"
                    "echo partly\nprintf 'WARNING\\nthor x: one\\nthor x: two; mend it\\n' >&2\n"
                    "exit 5\n")
        os.chmod(path, 0o755)
        self.put("THOR", path)

    def put(self, name, value):
        old = os.environ.get(name)
        self.addCleanup(lambda: os.environ.pop(name, None) if old is None
                        else os.environ.__setitem__(name, old))
        os.environ[name] = value

    def asked(self, call):
        """The words and the input of a call that fails as the program says."""
        with self.assertRaises(thor.ThorError) as caught:
            call()
        e = caught.exception
        self.assertEqual((e.code, e.message, e.output), (5, "thor x: two; mend it", "partly\n"))
        self.assertEqual(str(e), "thor x: two; mend it (exit code 5)")
        return Path(self.log).read_text().splitlines(), Path(self.log + ".in").read_text()

    def test_secrets_are_not_in_the_words(self):
        secret = "some `secret` $(text)\nof two lines"
        pair = (secret, "another secret")
        for call in (lambda: thor.encrypt([secret, pair], "k", "o"),
                     lambda: thor.classify([secret, pair]), lambda: thor.embed([secret, pair], "m"),
                     lambda: thor.remote.classify([secret, pair], "k")):
            words, given = self.asked(call)
            self.assertNotIn("secret", "".join(words))
            self.assertEqual([json.loads(line) for line in given.splitlines()],
                             [{"text": secret}, {"text": secret, "text2": "another secret"}])
            self.assertEqual(words[words.index("--index") + 1], "0..1")
        words, given = self.asked(lambda: thor.remote.login("https://x", "thor_token"))
        self.assertEqual((words, given), (["remote", "login", "https://x"], "thor_token\n"))
        words, given = self.asked(lambda: thor.decrypt("a", "k", text=secret))
        self.assertEqual((words[-2:], given), (["--text", "-"], secret))

    def test_words(self):
        words, _ = self.asked(lambda: thor.keygen(Path("a b"), tokens=64, insecure=TOY))
        self.assertEqual(words, ["keygen", "--out", "a b", "--tokens", "64",
                                 "--insecure-test-params", TOY])
        options = {"with_secret": True, "top": None, "private": False, "wait": 0.5, "tokens": 0}
        self.assertEqual(words_of(options), ["--with-secret", "--wait", "0.5", "--tokens", "0"])

    def test_texts_that_are_none(self):
        for wrong in ("a text", [], [("a", "b", "c")], [3], [("a", 3)], [b"bytes"]):
            with self.assertRaisesRegex(thor.ThorError, "text"):
                table(wrong)
        with self.assertRaisesRegex(thor.ThorError, "texts are a list"):
            thor.classify("a text")
        self.assertFalse(os.path.exists(self.log))

    def test_programs_that_are_none(self):
        for name in "/nonexistent/thor", "no-such-thor":
            self.put("THOR", name)
            with self.assertRaisesRegex(thor.ThorError, f"{name}: no such program: run `make"):
                thor.keygen("keys")
        self.put("THOR", "sleep")
        with self.assertRaisesRegex(thor.ThorError, "not done after 0.2 s") as caught:
            thor.run(["60"], timeout=0.2)
        self.assertEqual(caught.exception.code, 9)
        self.put("THOR", "false")
        with self.assertRaisesRegex(thor.ThorError, "said nothing and ended with 1"):
            thor.run(["x"])

    def test_answers_must_be_to_the_texts(self):
        with open(os.environ["THOR"], "w", encoding="ascii") as f:
            f.write("#!/bin/sh\ncat >/dev/null\necho '{\"target_idx\": 1, \"embedding\": [1]}'\n")
        with self.assertRaisesRegex(thor.ThorError, "1 answers to 1 texts"):
            thor.embed(["a"], "m")


@unittest.skipUnless(has(os.environ.get("THOR", "thor")), "the program thor is not there")
class Real(unittest.TestCase):
    """A tiny model with random weights, its keys and two texts."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.path = staticmethod(lambda name: os.path.join(folder.name, name))
        with open(cls.path("tiny.json"), "w", encoding="ascii") as f:
            json.dump(TINY, f)
        cls.model, cls.weights, cls.keys = cls.path("m"), cls.path("w"), cls.path("keys")
        thor.run(["synth", "--config", cls.path("tiny.json"), "--out", cls.model])
        thor.run(["encode", "--model", cls.model, "--calibrate", cls.path("m/texts.tsv"),
                  "--tokens", "32", "--out", cls.weights])
        thor.keygen(cls.keys, weights=cls.weights, insecure=TOY)
        words = Path(cls.model, "vocab.txt").read_text().split()[5:30]
        cls.texts = [" ".join(words[1:4]), " ".join(words[:14])]
        cls.plain = thor.classify(cls.texts, model=cls.model, weights=cls.weights, approx=True)

    def assert_right(self, rows):
        """Labels and scores of the plain logits z.  A score p is rounded to 1/100, and dp =
        p (1 - p) d(z1 - z0), which is at most 1/4 of twice the error of a logit."""
        self.assertEqual(len(rows), len(self.texts))
        for row, plain in zip(rows, self.plain):
            z = np.array(plain["plain_logits"])
            self.assertEqual(row["pred"], int(z.argmax()))
            self.assertLessEqual(abs(row["score"] - np.exp(z.max()) / np.exp(z).sum()),
                                 0.005 + (plain["max_abs_error"] + NOISE) / 2 + 1e-9)

    def test_client_and_server_apart(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.keys + "/secret.key").st_mode), 0o600)
        rows = thor.encrypt(self.texts, self.keys, self.path("up"), model=self.model,
                            weights=self.weights, insecure=TOY)
        self.assertEqual([r["out"] for r in rows], [self.path(f"up/{i}.ct") for i in range(2)])
        self.assertEqual(len({r["bytes"] for r in rows}), 1)
        thor.run(["eval", "--in", self.path("up"), "--out", self.path("down"), "--keys", self.keys,
                  "--weights", self.weights, "--insecure-test-params", TOY])
        answer = {"keys": self.keys, "model": self.model, "insecure": TOY}
        rows = thor.decrypt(self.path("down"), request=self.path("up"), top=2, **answer)
        self.assert_right(rows)
        self.assertEqual(len(rows[0]["labels"]), 2)
        for row, plain in zip(thor.decrypt(self.path("down"), private=True, **answer), self.plain):
            error = np.array(row["private_logits"]) - plain["plain_logits"]
            self.assertLess(np.abs(error).max(), plain["max_abs_error"] + NOISE)
        # an answer to another request, and a file that is none
        with self.assertRaises(thor.ThorError) as caught:
            thor.decrypt(self.path("down/0.ct"), request=self.path("up/1.ct"), **answer)
        self.assertEqual(caught.exception.code, 5)
        self.assertRegex(caught.exception.message, "^thor decrypt: .*another request")
        with self.assertRaises(thor.ThorError) as caught:
            thor.decrypt(self.path("w"), **answer)
        self.assertEqual(caught.exception.code, 5)

    def test_refusals_of_the_program(self):
        with self.assertRaises(thor.ThorError) as caught:
            thor.keygen(self.keys, weights=self.weights, insecure=TOY)
        self.assertEqual(caught.exception.code, 6)
        self.assertIn("never overwritten", caught.exception.message)
        with self.assertRaises(thor.ThorError) as caught:
            thor.encrypt([self.texts[1] * 9], self.keys, self.path("long"), model=self.model,
                         weights=self.weights, insecure=TOY)
        self.assertEqual(caught.exception.code, 3)
        self.assertFalse(os.path.exists(self.path("long")))
        with self.assertRaises(thor.ThorError) as caught:
            thor.embed(self.texts, self.model, approx=True)
        self.assertIn(caught.exception.code, (2, 4))  # a classifier gives no embedding

    def test_embeddings(self):
        model = self.path("e")
        shutil.copytree(self.model, model)
        config = Path(model, "config.json")
        config.write_text(config.read_text().replace("BertForSequenceClassification", "BertModel"))
        plain = thor.embed(self.texts, model, approx=True)
        self.assertEqual((plain.shape, plain.dtype), ((2, 48), np.float64))
        got = thor.embed(self.texts[:1], model, insecure=TOY)
        self.assertEqual(got.shape, (1, 48))
        # both are rounded to a thousandth of the length, and computed by the same polynomials
        length = np.linalg.norm(plain[0])
        self.assertLess(np.abs(got[0] - plain[0]).max(), 2e-3 * length)
        unit = thor.embed(self.texts, model, approx=True, normalize=True, pool="cls")
        self.assertLess(np.abs(np.linalg.norm(unit, axis=1) - 1).max(), 5e-3)

    def serve(self):
        """A server of the model on the loopback; its port."""
        program = subprocess.Popen(
            [thor.program(), "serve", "--model", self.weights, "--listen", "127.0.0.1:0", "--store",
             self.path("store"), "--tokens", self.path("tokens.json"),
             "--insecure-test-params", TOY],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (program.terminate(), program.wait(60), program.stderr.close()))
        port, end = None, time.monotonic() + 60
        for line in program.stderr:
            port = port or re.search(r'"listening".*?"address":"127.0.0.1:(\d+)"', line)
            if port and '"event":"ready"' in line:
                return port.group(1)
            self.assertLess(time.monotonic(), end)
        self.fail(f"thor serve ended with {program.wait()}")

    def test_remote(self):
        for command in ["remote", "--help"], ["serve", "--help"]:
            try:
                thor.run(command)
            except thor.ThorError as e:
                self.skipTest(e.message)
        token = thor.run(["serve", "token", "--name", "me", "--tokens", self.path("tokens.json")])
        url, login = f"http://127.0.0.1:{self.serve()}", self.path("login.json")
        with self.assertRaises(thor.ThorError) as caught:
            thor.remote.login(url, "thor_wrong", login=login)
        self.assertEqual(caught.exception.code, 5)
        thor.remote.login(url, token.strip(), login=login)
        self.assertEqual(stat.S_IMODE(os.stat(login).st_mode), 0o600)
        sent = thor.remote.upload(self.keys, login=login)
        self.assertEqual(sent["bytes"], os.path.getsize(self.keys + "/eval.key"))
        rows = thor.remote.classify(self.texts, self.keys, model=self.model, weights=self.weights,
                                    login=login, insecure=TOY)
        self.assert_right(rows)
        status = thor.remote.status(login=login)
        self.assertEqual((status["account"]["name"], len(status["keys"]), status["jobs"]),
                         ("me", 1, []))
        thor.remote.drop(self.keys, login=login)
        self.assertEqual(thor.remote.status(login=login)["keys"], [])


if __name__ == "__main__":
    unittest.main()
