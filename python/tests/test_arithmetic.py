"""Every operation against numpy, within the noise that is derived for it."""
import unittest

import numpy as np

import ckks

from .common import ENCODE, FRESH, LEVEL, N, PUBLIC, R, SWITCH, Toy, random_vector


class Arithmetic(Toy):
    def setUp(self):
        self.a, self.b = random_vector(1), random_vector(2)
        self.x, self.y = self.encrypt(self.a), self.encrypt(self.b)
        self.fresh = self.slot_variance(FRESH, LEVEL)

    def test_encryption(self):
        bits = self.assert_noise(self.x, self.a, self.fresh)
        self.assertGreater(bits, 35)
        with ckks.PublicKey(self.cx, self.secret) as public:
            x = self.cx.encrypt(self.a, public, LEVEL)
        self.assert_noise(x, self.a, self.slot_variance(PUBLIC, LEVEL))
        error = np.abs(self.x.decrypt(self.secret) - self.a)
        self.assertLess(error.max(), 2**0.5 * 6.5 * self.fresh**0.5)  # a chance of 1e-7

    def test_secure_set(self):
        params = ckks.Params(log_n=13, levels=1, level_bits=42, base_bits=56)
        with ckks.Context(params) as cx, ckks.SecretKey(params) as secret:
            a = np.linspace(-1, 1, params.slots)
            error = cx.encrypt(a, secret).decrypt(secret) - a
        sigma = (FRESH * params.slots) ** 0.5 / params.scale(1)
        rms = np.sqrt((np.abs(error) ** 2).mean() / 2)
        self.assertLess(rms, 1.25 * sigma)
        self.assertGreater(rms, sigma / 1.25)

    def test_types_of_numpy(self):
        for dtype in ("float64", "float32", "int16", "bool", "complex64", "complex128", ">f8"):
            a = np.array([1, 0, 1, 1], dtype=dtype)
            got = self.encrypt(a).decrypt(self.secret, count=4)
            self.assertEqual(got.dtype, np.complex128)
            self.assertLess(np.abs(got - a).max(), 2**-20, dtype)
        strided = np.arange(16.0)[::2] / 16
        x = self.encrypt(strided)
        got = x.decrypt_real(self.secret, count=8)
        self.assertEqual((got.dtype, got.shape), (np.float64, (8,)))
        self.assertLess(np.abs(got - strided).max(), 2**-20)
        self.assertEqual(x.decrypt(self.secret).shape, (N // 2,))
        full = x.decrypt_real(self.secret)  # repeated to fill the slots
        self.assertLess(np.abs(full - np.tile(strided, N // 16)).max(), 2**-20)

    def test_sums(self):
        self.assert_noise(self.x + self.y, self.a + self.b, 2 * self.fresh)
        self.assert_noise(self.x - self.y, self.a - self.b, 2 * self.fresh)
        self.assert_noise(-self.x, -self.a, self.fresh)
        coded = self.fresh + self.slot_variance(ENCODE, LEVEL)
        for got, want in ((self.x + self.b, self.a + self.b), (self.b - self.x, self.b - self.a),
                          (self.x - self.b, self.a - self.b), (self.b + self.x, self.a + self.b),
                          (1 - self.x, 1 - self.a), (self.x + 0.25, self.a + 0.25),
                          (self.x - np.float32(0.5), self.a - 0.5), (self.x + 2j, self.a + 2j)):
            self.assert_noise(got, want, coded)
            self.assertEqual(got.level, LEVEL)
        ones = np.ones(4, dtype=np.uint8)  # -1 is none of its numbers
        self.assert_noise(self.x - ones, self.a - 1, coded)
        self.assert_noise(self.x - (ones > 0), self.a - 1, coded)
        self.assert_noise(self.x - np.uint8(1), self.a - 1, coded)
        self.assert_noise(self.x, self.a, self.fresh)  # operands stay

    def test_products(self):
        below = self.slot_variance(R, LEVEL - 1)
        a2, b2 = (np.abs(self.a)**2).mean(), (np.abs(self.b)**2).mean()
        product = self.x * self.y
        self.assertEqual(product.level, LEVEL - 1)
        self.assert_noise(product, self.a * self.b, self.fresh * (a2 + b2) + below)
        self.assert_noise(ckks.dot([self.x, self.y], [self.y, self.x]), 2 * self.a * self.b,
                          4 * self.fresh * (a2 + b2) + below)
        plain = self.fresh * b2 + self.slot_variance(ENCODE, LEVEL) * a2 + below
        self.assert_noise(self.x * self.b, self.a * self.b, plain)
        self.assert_noise(self.b * self.x, self.a * self.b, plain)
        self.assert_noise(self.x * 0.5, self.a / 2, self.fresh / 4 + below)

    def test_whole_factors_cost_no_level(self):
        for c in (3, np.int64(-3)):
            got = self.x * c
            self.assertEqual(got.level, LEVEL)
            self.assert_noise(got, int(c) * self.a, 9 * self.fresh)
        self.assertEqual((self.x * 3.0).level, LEVEL - 1)
        with self.refused("RANGE", "2.53"):
            self.x * 2**60
        with self.refused("RANGE", "constant"):
            self.x + 10**400

    def test_pending_products(self):
        pending = ckks.dot([self.x], [self.y], rescale=False)
        with self.refused("INTERNAL", "rescale"):
            pending * self.x
        with self.refused("INTERNAL", "rescale"):
            pending.decrypt(self.secret)
        done = (pending + pending).rescale()
        self.assertEqual(done.level, LEVEL - 1)
        self.assertLess(np.abs(done.decrypt(self.secret) - 2 * self.a * self.b).max(), 2**-24)
        with self.refused("INTERNAL", "rescale"):
            self.x.rescale()

    def test_rotations(self):
        switched = self.fresh + self.slot_variance(SWITCH, LEVEL)
        for r in (1, 5, -7, N // 2 + 1):
            self.assert_noise(self.x.rotate(r), np.roll(self.a, -r), switched)
        for got, r in zip(self.x.rotate_many([5, 1, -7]), (5, 1, -7)):
            self.assert_noise(got, np.roll(self.a, -r), switched)
        self.assertEqual(self.x.rotate_many([]), [])
        self.assert_noise(self.x.conj(), self.a.conj(), switched)
        self.assert_noise(self.x.times_i(), 1j * self.a, self.fresh)
        self.assert_noise(self.x.times_i(-1), -1j * self.a, self.fresh)
        with self.refused("KEY"):
            self.x.rotate(2)

    def test_levels(self):
        low = self.x.at_level(1)
        self.assertEqual((low.level, (low + self.y).level), (1, 1))
        self.assertLess(np.abs(low.decrypt(self.secret) - self.a).max(), 2**-24)
        self.assertEqual(self.x.copy().level, LEVEL)
        for wrong in (LEVEL + 1, -1):
            with self.refused("INTERNAL", "level"):
                self.x.at_level(wrong)
        bottom = self.x.at_level(0)
        for product in (lambda: bottom * bottom, lambda: bottom * 0.5):
            with self.refused("INTERNAL"):
                product()
        mean = ckks.combine([self.x, self.y], [0.25, 0.5], LEVEL - 1, constant=1)
        self.assertEqual(mean.level, LEVEL - 1)
        want = self.a / 4 + self.b / 2 + 1
        self.assertLess(np.abs(mean.decrypt(self.secret) - want).max(), 2**-24)

    def test_chebyshev(self):
        c = [0.5, -0.25, 0.125, 0.0625]
        got = self.encrypt(self.a.real).chebyshev(c)
        self.assertEqual(got.level, LEVEL - 2)
        want = np.polynomial.chebyshev.chebval(self.a.real, c)
        self.assertLess(np.abs(got.decrypt(self.secret) - want).max(), 2**-24)
        for shape in ([1.0], [[1.0, 2.0]], []):
            with self.refused("INTERNAL", "coefficients"):
                self.x.chebyshev(shape)

    def test_rounded_decryption(self):
        got = self.x.decrypt(self.secret, bits=12)
        for part in got.real * 2**12, got.imag * 2**12:
            self.assertTrue((part == np.round(part)).all())
        self.assertLess(np.abs((got - self.a).real).max(), 2**-13 + 2**-24)

    def test_bootstrap(self):
        log_slots = 5
        needs = ckks.Bootstrap.needs(self.params, log_slots)
        a = np.sin(np.arange(2**log_slots))
        with ckks.EvaluationKeys(self.cx, self.secret, needs) as keys:
            self.cx.use(keys)
            with ckks.Bootstrap(self.cx, log_slots) as boot:
                low = self.encrypt(a, boot.levels(log_slots))
                high = boot(low)
                self.assertEqual(high.level, self.params.levels)
                error = np.abs(high.decrypt_real(self.secret) - np.tile(a, N // 2**(log_slots + 1)))
                self.assertLess(error.max(), 2**-16)  # of include/ckks/bootstrap.h
                self.assertLess(error.mean(), 2**-20)
            with self.refused("INTERNAL", "bootstrap was closed"):
                boot(low)
        self.cx.use(self.keys)
        with ckks.Context(ckks.Params(10, 3, insecure=True)) as small:
            with self.refused("INTERNAL", "cannot bootstrap"):
                ckks.Bootstrap(small, 5)


class Refusals(Toy):
    def test_shapes(self):
        for wrong in (np.ones(3), np.ones((2, 2)), np.float64(1), np.ones(0), np.ones(N),
                      np.array(["x"]), np.array([None, 1])):
            with self.refused("INTERNAL", "vector"):
                self.encrypt(wrong)
            x = self.encrypt([0.5])
            if isinstance(wrong, np.ndarray):
                for operation in (x.__add__, x.__mul__):
                    with self.refused("INTERNAL", "vector"):
                        operation(wrong)
        self.assertEqual(ckks.pad(np.ones(3)).tolist(), [1, 1, 1, 0])
        self.assertEqual(ckks.pad(np.ones(4, dtype="int8")).dtype, np.int8)
        with self.refused("INTERNAL", "vector"):
            ckks.pad(np.ones((2, 2)))
        for count in (-1, N, 1.5):
            with self.refused("USAGE", "count|whole"):
                x.decrypt(self.secret, count=count)

    def test_numbers(self):
        x = self.encrypt([0.5])
        for wrong in (np.nan, np.inf, 1e300):
            with self.refused("RANGE"):
                self.encrypt([wrong, 0.0])
            with self.refused("RANGE"):
                x + wrong
            with self.refused("RANGE"):
                x * wrong
        for wrong in (-1, 17, 2**40):
            with self.refused("(INTERNAL|USAGE)"):
                self.encrypt([0.5], wrong)
        for operation in (lambda: x + "1", lambda: x * None, lambda: [1] - x):
            with self.assertRaises(TypeError):
                operation()

    def test_other_contexts_and_sets(self):
        other = ckks.Params.named("toy11", insecure=True)
        x = self.encrypt([0.5])
        with ckks.Context(self.params, number=1) as twin, ckks.SecretKey(other) as key:
            y = twin.encrypt([0.5], self.secret, LEVEL)
            for operation in (lambda: x + y, lambda: x * y, lambda: ckks.dot([x], [y]),
                              lambda: twin.use(self.keys)):
                with self.refused("INTERNAL", "another context"):
                    operation()
            with self.refused("KEY", "parameter set"):
                twin.encrypt([0.5], key)
            with self.refused("KEY", "parameter set"):
                x.decrypt(key)
        with self.refused("INTERNAL", "SecretKey"):
            x.decrypt("secret")

    def test_dry_contexts(self):
        needs = ckks.needs(self.params, lambda x, y: (x * y).rotate(3), 3, 2)
        self.assertEqual(sorted(needs), sorted([self.params.need_relin(2),
                                                self.params.need_rotation(3, 1)]))
        self.assertEqual(ckks.needs(self.params, lambda x: x + 1, 2), [])
        with ckks.Context(self.params, "dry") as dry:
            with self.refused("INTERNAL", "zero"):
                dry.encrypt([1.0], self.secret)
            with self.refused("INTERNAL", "dry"):
                dry.zero(1).decrypt(self.secret)
        with self.refused("USAGE", "no keys to make"):
            ckks.EvaluationKeys(self.cx, self.secret, [])
        with self.refused("USAGE", "device"):
            ckks.Context(self.params, "tpu")


if __name__ == "__main__":
    unittest.main()
