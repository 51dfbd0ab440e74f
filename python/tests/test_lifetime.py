"""What is closed is refused, freed once and never under a call; threads take turns; forks."""
import copy
import gc
import os
import pickle
import threading
import unittest
import warnings

import numpy as np

import ckks
from ckks.handle import Handle
from ckks.slots import parts

from .common import LEVEL, Toy, random_vector


class Closed(Toy):
    def test_ciphertexts(self):
        x, y = self.encrypt([0.5]), self.encrypt([0.25])
        with x:
            pass
        x.close()
        self.assertTrue(x.closed)
        for use in (lambda: x.level, lambda: x + y, lambda: y * x, lambda: x.rotate(1), x.copy,
                    lambda: x.decrypt(self.secret), lambda: x.__enter__(),
                    lambda: ckks.dot([y], [x]), lambda: ckks.to_bytes([x], self.secret.id)):
            with self.refused("INTERNAL", "the ciphertext was closed"):
                use()
        self.assertEqual((repr(x), repr(y)), ("Ciphertext(closed)", f"Ciphertext(level {LEVEL})"))

    def test_keys(self):
        with ckks.SecretKey(self.params) as secret, ckks.PublicKey(self.cx, secret) as public:
            x = self.cx.encrypt([0.5], public)
        for use in (lambda: secret.id, lambda: x.decrypt(secret), lambda: secret.save("no.key"),
                    lambda: self.cx.encrypt([0.5], secret),
                    lambda: ckks.PublicKey(self.cx, secret)):
            with self.refused("INTERNAL", "the secret key was closed"):
                use()
        with self.refused("INTERNAL", "the public key was closed"):
            self.cx.encrypt([0.5], public)

    def test_evaluation_keys_in_use(self):
        x = self.encrypt([0.5])
        with ckks.EvaluationKeys(self.cx, self.secret, [self.params.need_relin(LEVEL)]) as keys:
            self.cx.use(keys)
            x * x
        self.assertIsNone(self.cx._keys)
        with self.refused("KEY"):  # found in none, not in freed memory
            x * x
        with self.refused("INTERNAL", "closed"):
            self.cx.use(keys)
        self.cx.use(self.keys)
        x * x

    def test_contexts_free_all_of_theirs(self):
        with ckks.Context(self.params, number=1) as cx:
            x = cx.encrypt([0.5], self.secret)
            keys = ckks.EvaluationKeys(cx, self.secret, [self.params.need_relin(1)])
            boot = ckks.Bootstrap(cx, 2)
            cx.use(keys)
        self.assertTrue(x.closed and keys.closed and boot.closed and cx.closed)
        for one in x, keys, boot, cx:
            one.close()
        for use in (lambda: x + 1, lambda: cx.zero(), lambda: keys.save("no.key"), lambda: boot(x)):
            with self.refused("INTERNAL", "the context was closed"):
                use()

    def test_cycles_end_in_any_order(self):
        class Node:
            pass

        for _ in range(20):
            node = Node()
            node.cx = ckks.Context(self.params, number=1)
            node.x = node.cx.encrypt([0.5], self.secret, 1)
            node.keys = ckks.EvaluationKeys(node.cx, self.secret, [self.params.need_relin(1)])
            node.cx.use(node.keys)
            node.self = node
            del node
            gc.collect()

    def test_neither_copied_nor_pickled(self):
        for one in self.cx, self.secret, self.keys, self.encrypt([0.5]):
            for duplicate in copy.copy, copy.deepcopy, pickle.dumps:
                with self.assertRaisesRegex(TypeError, "not pickled"):
                    duplicate(one)
        self.assertEqual(pickle.loads(pickle.dumps(self.params)), self.params)
        with self.assertRaises(TypeError):
            ckks.Ciphertext()

    def test_freed_once_and_never_under_a_call(self):
        freed = []
        handle = Handle("thing", 42, freed.append)
        with handle.borrow() as pointer:
            self.assertEqual(pointer, 42)
            handle.close()
            self.assertEqual(freed, [])
            with self.refused("INTERNAL", "the thing was closed"):
                with handle.borrow():
                    pass
        self.assertEqual(freed, [42])
        handle.close()
        self.assertEqual(freed, [42])

    def test_copies_of_secrets_are_wiped(self):
        a = np.array([1 + 2j, 3 + 4j])
        with parts(a, 512) as v:
            kept = [np.ctypeslib.as_array((np.ctypeslib.ctypes.c_double * 2).from_address(p))
                    for p in (v.re, v.im)]
            self.assertEqual([k.tolist() for k in kept], [[1, 3], [2, 4]])
        opened = self.encrypt(a)._open(self.secret, None)
        self.assertGreater(abs(opened.re).max(), 0.5)
        with opened:
            pass
        self.assertEqual((abs(opened.re).max(), abs(opened.im).max()), (0, 0))
        self.assertEqual(a.tolist(), [1 + 2j, 3 + 4j])  # the caller's own stays


class Threads(Toy):
    def test_one_context_takes_turns(self):
        x, done = self.encrypt([0.5]), threading.Event()
        turn = threading.Thread(target=lambda: (x + 1, done.set()))
        with self.cx._using():
            turn.start()
            self.assertFalse(done.wait(0.3), "a call ran in another's turn")
        self.assertTrue(done.wait(60))
        turn.join()

    def test_different_contexts_do_not_wait(self):
        with ckks.Context(self.params, number=1) as other:
            y, done = other.encrypt([0.5], self.secret), threading.Event()
            turn = threading.Thread(target=lambda: (y + 1, done.set()))
            with self.cx._using():
                turn.start()
                self.assertTrue(done.wait(60))
            turn.join()

    def test_results_of_many_threads(self):
        """On one context, with errors of one thread beside results of others."""
        wrong = []

        def work(seed):
            a = random_vector(seed)
            for _ in range(5):
                with self.encrypt(a) as x, x * x as y:
                    got = y.decrypt(self.secret)
                    if np.abs(got - a * a).max() > 2**-24:
                        wrong.append(seed)
                try:
                    self.encrypt([np.nan])
                except ckks.CkksError as e:
                    if e.name != "RANGE" or not e.message:
                        wrong.append(e)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])

    @unittest.skipUnless(hasattr(os, "fork"), "no fork on this system")
    def test_a_child_is_refused(self):
        x = self.encrypt([0.5])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            code = 1
            try:
                x + 1
            except ckks.CkksError as e:
                code = 0 if "os.fork()" in e.message else 2
            x.close()  # nothing: the memory is the parent's to free
            os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual((x + 1).level, LEVEL)


if __name__ == "__main__":
    unittest.main()
