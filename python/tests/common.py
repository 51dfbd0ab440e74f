"""What several tests use: a toy context with its keys, and the noise of its operations.

Noise is a variance V of coefficients; a slot's real and imaginary part then have V N/2 / S^2, S the
scale of the level (tests/test_precision.c of the sources derives all of them):
    encryption  10.5 + 1/12 under the secret key, 10.5 (1 + 4N/3) + 1/12 under the public one
    rescaling   R = (1 + 2N/3)/12
    key switch  R at LEVEL, whose primes are one digit of 264 bits, below P of 363
"""
import unittest

import numpy as np

import ckks

N, LEVEL = 1024, 4
FRESH = 10.5 + 1 / 12
PUBLIC = 10.5 * (1 + 4 * N / 3) + 1 / 12
R = (1 + 2 * N / 3) / 12
SWITCH = R
ENCODE = 1 / 12


def random_vector(seed, size=N // 2):
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.7, 0.7, size) + 1j * rng.uniform(-0.7, 0.7, size)


class Toy(unittest.TestCase):
    """toy10 on one thread, a secret key, keys of products, conjugation and some rotations."""

    @classmethod
    def setUpClass(cls):
        cls.params = p = ckks.Params.named("toy10", insecure=True)
        cls.cx = ckks.Context(p, number=1)
        cls.secret = ckks.SecretKey(p)
        needs = [p.need_relin(LEVEL), p.need_conjugation(LEVEL)]
        needs += [p.need_rotation(r, LEVEL) for r in (1, 5, -7)]
        cls.keys = ckks.EvaluationKeys(cls.cx, cls.secret, needs)
        cls.cx.use(cls.keys)

    @classmethod
    def tearDownClass(cls):
        cls.cx.close()
        cls.secret.close()

    def encrypt(self, v, level=LEVEL):
        return self.cx.encrypt(v, self.secret, level)

    def slot_variance(self, coefficient_variance, level):
        return coefficient_variance * N / 2 / self.params.scale(level) ** 2

    def assert_noise(self, x, want, variance):
        """x decrypts to want with noise of that variance in each part, neither more nor less.

        The root mean square of 1,024 parts strays by 2.2 %, and by some 3.5 % where the secret
        multiplies the noise (slots then differ as |s(zeta)|^2, whose mean is 2N/3 within 2.2 %):
        7 of these are 25 %.  Returns the bits of precision."""
        error = x.decrypt(self.secret) - want
        rms = np.sqrt((error.real**2 + error.imag**2).mean() / 2)
        self.assertLess(rms, 1.25 * variance**0.5, "more noise than derived")
        self.assertGreater(rms, variance**0.5 / 1.25, "less noise than there must be")
        return -np.log2(rms)

    def refused(self, name, pattern=""):
        """A CkksError of that name, whose line has the pattern."""
        test = self

        class Refused:
            def __enter__(self):
                self.context = test.assertRaisesRegex(ckks.CkksError, f"^{name}: .*{pattern}")
                return self.context.__enter__()

            def __exit__(self, *how):
                return self.context.__exit__(*how)

        return Refused()
