"""Parameter sets, keys and ciphertexts: the gate, files, bytes, what is damaged or of others."""
import os
import stat
import tempfile
import unittest

import numpy as np

import ckks

from .common import LEVEL, Toy


class Sets(Toy):
    def test_the_gate(self):
        with self.refused("KEY", "128 bits"):
            ckks.Params(log_n=13, levels=4)
        toy = ckks.Params(log_n=13, levels=4, insecure=True)
        self.assertEqual((toy.security, toy.slots, toy.levels), (0, 4096, 4))
        good = ckks.Params(log_n=14, levels=6)
        self.assertEqual((good.security, good.log_n, good.bootstraps), (128, 14, False))
        self.assertLessEqual(good.log_qp, 430)
        self.assertEqual(good, ckks.Params.named(good.name))
        self.assertEqual(len({good, ckks.Params(log_n=14, levels=6), toy}), 2)
        self.assertLess(abs(np.log2(good.scale(3)) - 42), 1)

    def test_names(self):
        with self.refused("KEY"):
            ckks.Params.named("toy10")
        with self.refused("USAGE"):
            ckks.Params.named("n99")
        self.assertTrue(self.params.bootstraps)

    def test_numbers_are_not_cut(self):
        for wrong in (2**32 + 14, 14.0, "14", None):
            with self.refused("USAGE", "log_n|whole"):
                ckks.Params(log_n=wrong, levels=6)
        self.assertEqual(ckks.Params(log_n=np.int8(14), levels=6).log_n, 14)
        with self.refused("USAGE"):
            ckks.Params(log_n=9, levels=1, insecure=True)


class Files(Toy):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = lambda name: os.path.join(folder.name, name)

    def test_secret_keys(self):
        path = self.path("secret.key")
        self.secret.save(path)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with ckks.SecretKey.load(path, insecure=True) as again:
            self.assertEqual((again.id, len(again.id)), (self.secret.id, 16))
            self.assertLess(abs(self.encrypt([0.5]).decrypt(again, 1)[0] - 0.5), 2**-24)
        with self.refused("KEY"):
            ckks.SecretKey.load(path)
        with ckks.SecretKey(self.params) as other:
            self.assertNotEqual(other.id, self.secret.id)
            with self.refused("IO"):
                other.save(path)
        os.chmod(path, 0o644)
        with self.refused("KEY", "chmod 600"):
            ckks.SecretKey.load(path, insecure=True)
        with self.refused("IO"):
            ckks.SecretKey.load(self.path("none"))
        with self.refused("USAGE", "zero bytes"):
            ckks.SecretKey.load(self.path("a\0b"))

    def test_seeds(self):
        seed = bytes(range(32))
        with ckks.SecretKey(self.params, seed) as a, ckks.SecretKey(self.params, seed) as b:
            self.assertEqual(a.id, b.id)
        for wrong in b"short", "x" * 32:
            with self.refused("INTERNAL", "32 bytes"):
                ckks.SecretKey(self.params, wrong)

    def test_public_and_evaluation_keys(self):
        public, keys = self.path("public.key"), self.path("eval.key")
        with ckks.PublicKey(self.cx, self.secret) as made:
            made.save(public)
        self.keys.save(keys)
        with ckks.Context(self.params, number=1) as cx:
            with ckks.PublicKey.load(public, insecure=True) as again:
                self.assertEqual(again.id, self.secret.id)
                x = cx.encrypt([0.5, -0.5], again, LEVEL)
            cx.use(ckks.EvaluationKeys.load(cx, keys))
            got = (x * x.rotate(1)).decrypt_real(self.secret, 2)
            self.assertLess(np.abs(got + 0.25).max(), 2**-24)
        with open(keys, "r+b") as f:
            f.seek(1000)
            f.write(b"damage")
        with self.refused("KEY"):
            ckks.EvaluationKeys.load(self.cx, keys)

    def test_ciphertexts(self):
        a, b = np.array([0.5, 0.25j]), np.array([1.0])
        note = b"of a test".ljust(32)
        x = [self.encrypt(a), self.encrypt(b, 2)]
        data = ckks.to_bytes(x, self.secret.id, note)
        ckks.save(self.path("x.ct"), x, self.secret.id, note)
        with open(self.path("x.ct"), "rb") as f:
            self.assertEqual(f.read(), data)
        with ckks.Context(self.params, number=1) as cx:
            for got in ckks.from_bytes(data, cx), ckks.load(self.path("x.ct"), cx):
                self.assertEqual((got.key_id, got.note), (self.secret.id, note))
                self.assertEqual([c.level for c in got.ciphertexts], [LEVEL, 2])
                for one, want in zip(got.ciphertexts, x):
                    self.assertTrue((one.decrypt(self.secret) == want.decrypt(self.secret)).all())
        spoilt = bytearray(data)
        spoilt[len(data) // 2] ^= 1
        for wrong in bytes(spoilt), data[:-1], b"":
            with self.refused("KEY"):
                ckks.from_bytes(wrong, self.cx)
        other = ckks.Params.named("toy11", insecure=True)
        with ckks.Context(other) as cx, self.refused("KEY"):
            ckks.from_bytes(data, cx)
        with ckks.SecretKey(self.params) as stranger:
            with self.refused("KEY"):  # the context's keys are of another pair
                ckks.from_bytes(ckks.to_bytes(x, stranger.id), self.cx)

    def test_misuse(self):
        x = self.encrypt([0.5])
        for call in (lambda: ckks.to_bytes([], self.secret.id), lambda: ckks.to_bytes([x], b"id"),
                     lambda: ckks.to_bytes([x], self.secret.id, b"note"), lambda: ckks.dot([], []),
                     lambda: ckks.dot([x, x], [x]), lambda: ckks.combine([x], [1, 2], 0)):
            with self.refused("INTERNAL"):
                call()
        with self.refused("IO"):
            ckks.save(self.path("no/such/folder"), [x], self.secret.id)


if __name__ == "__main__":
    unittest.main()
