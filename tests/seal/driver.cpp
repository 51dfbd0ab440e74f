// The side of Microsoft SEAL in the tests of ckks/seal*.c; built when SEAL is given (tests/seal/seal.mk).
//   driver make DIR LEVEL [CASES]   keys, unless they are there; ciphertexts and plaintexts of a level
//   driver check DIR LEVEL          what this project wrote there, decrypted and compared
//   driver seeded FILE DIR          a ciphertext at level 0 with a seed in place of its second half
// DIR has `parms` and `levels` (primes and scale of each level, a line), which tests/seal/ours.c
// wrote.
#include <seal/seal.h>
#include <sys/stat.h>

#include <complex>
#include <fstream>
#include <iostream>

#include "tests/seal/values.h"

using Slots = std::vector<std::complex<double>>;

namespace {

const auto raw = seal::compr_mode_type::none;
std::string dir;

std::ifstream in(const std::string &name) {
    std::ifstream f(dir + "/" + name, std::ios::binary);
    if (!f) throw std::runtime_error("cannot read " + dir + "/" + name);
    return f;
}

std::ofstream out(const std::string &name) {
    std::ofstream f(dir + "/" + name, std::ios::binary);
    if (!f) throw std::runtime_error("cannot write " + dir + "/" + name);
    return f;
}

template <class T> void save(const T &x, const std::string &name) {
    auto f = out(name);
    x.save(f, raw);
}

template <class T> T load(const seal::SEALContext &cx, const std::string &name) {
    T x;
    auto f = in(name);
    x.load(cx, f);
    return x;
}

seal::EncryptionParameters parms() {
    seal::EncryptionParameters p;
    auto f = in("parms");
    p.load(f);
    return p;
}

struct Side {
    seal::SEALContext cx;
    seal::SecretKey secret;
    seal::PublicKey pub;
    std::vector<int> primes;
    std::vector<double> scale;

    Side() : cx(parms(), true, seal::sec_level_type::none) {
        if (!cx.parameters_set()) throw std::runtime_error("SEAL refuses the parameters");
        auto f = in("levels");
        int n;
        for (std::string s; f >> n >> s;) {
            primes.push_back(n);
            scale.push_back(std::stod(s)); // hexadecimal
        }
        if (!std::ifstream(dir + "/secret")) {
            seal::KeyGenerator made(cx);
            seal::PublicKey p;
            made.create_public_key(p);
            save(made.secret_key(), "secret");
            save(p, "public");
        }
        secret = load<seal::SecretKey>(cx, "secret");
        pub = load<seal::PublicKey>(cx, "public");
    }

    double n() const {
        return double(cx.first_context_data()->parms().poly_modulus_degree());
    }

    seal::parms_id_type id(int level) const {
        auto d = cx.first_context_data();
        while (d && int(d->parms().coeff_modulus().size()) != primes[size_t(level)])
            d = d->next_context_data();
        if (!d) throw std::runtime_error("no such level");
        return d->parms_id();
    }

    Slots values(int level, int number) const {
        Slots z(size_t(n()) / 2);
        for (size_t s = 0; s < z.size(); s++)
            z[s] = {seal_value(level, number, int(s), 0), seal_value(level, number, int(s), 1)};
        return z;
    }

    seal::Plaintext encoded(int level, int number) const {
        seal::Plaintext p;
        seal::CKKSEncoder(cx).encode(values(level, number), id(level), scale[size_t(level)], p);
        return p;
    }
};

std::string name(char what, int level, int number) {
    return std::string(1, what) + std::to_string(level) + "_" + std::to_string(number);
}

// s: fresh, under the public and the secret key in turns; p: plaintexts; t: products of SEAL
void make(int level, int cases) {
    Side side;
    seal::Encryptor enc(side.cx, side.pub, side.secret);
    seal::Evaluator ev(side.cx);
    seal::RelinKeys relin;
    seal::KeyGenerator(side.cx, side.secret).create_relin_keys(relin);
    std::vector<seal::Ciphertext> made;
    for (int i = 0; i < cases; i++) {
        const auto p = side.encoded(level, i);
        save(p, name('p', level, i));
        made.emplace_back();
        if (i % 2)
            enc.encrypt_symmetric(p, made.back());
        else
            enc.encrypt(p, made.back());
        save(made.back(), name('s', level, i));
    }
    const int drop = level ? side.primes[size_t(level)] - side.primes[size_t(level - 1)] : 0;
    for (int i = 0; level && i < cases; i++) {
        seal::Ciphertext c;
        ev.multiply(made[size_t(i)], made[size_t((i + 1) % cases)], c);
        ev.relinearize_inplace(c, relin);
        for (int j = 0; j < drop; j++) ev.rescale_to_next_inplace(c);
        save(c, name('t', level, i));
    }
}

int wrong = 0, right = 0;

void compare(const Slots &have, const Slots &want, double bound, const std::string &what) {
    size_t off = 0;
    for (size_t s = 0; s < want.size(); s++)
        off += !(std::abs(have[s].real() - want[s].real()) < bound &&
                 std::abs(have[s].imag() - want[s].imag()) < bound); // of NaN too
    (off ? wrong : right)++;
    if (off) std::cout << what << ": " << off << " slots are off by " << bound << " or more\n";
}

void check(int level) {
    Side side;
    seal::Decryptor dec(side.cx, side.secret);
    seal::CKKSEncoder encoder(side.cx);
    auto decoded = [&](const std::string &file) {
        seal::Plaintext p;
        Slots z;
        dec.decrypt(load<seal::Ciphertext>(side.cx, file), p);
        encoder.decode(p, z);
        return z;
    };
    const double n = side.n(), scale = side.scale[size_t(level)];
    for (int i = 0; i < SEAL_CASES; i++) {
        const Slots a = side.values(level, i), b = side.values(level, (i + 1) % SEAL_CASES);
        Slots z, turned = a, product = a;
        encoder.decode(load<seal::Plaintext>(side.cx, name('q', level, i)), z);
        compare(z, a, seal_bound_fresh(n, scale), name('q', level, i));
        compare(decoded(name('o', level, i)), a, seal_bound_fresh(n, scale), name('o', level, i));
        for (size_t s = 0; s < a.size(); s++) {
            turned[s] = a[(s + size_t(seal_step(i)) + a.size()) % a.size()];
            product[s] *= b[s];
        }
        compare(decoded(name('r', level, i)), turned, seal_bound_rotated(n, scale),
                name('r', level, i));
        if (level)
            compare(decoded(name('m', level, i)), product,
                    seal_bound_product(n, side.scale[size_t(level - 1)]), name('m', level, i));
    }
}

void seeded(const std::string &file) {
    Side side;
    seal::Encryptor enc(side.cx, side.secret);
    std::ofstream f(file, std::ios::binary);
    enc.encrypt_symmetric(side.encoded(0, 0)).save(f, raw);
}

} // namespace

int main(int argc, char **argv) {
    umask(077);
    try {
        const std::string what = argc > 3 ? argv[1] : "";
        if (what == "make" || what == "check") {
            dir = argv[2];
            if (what == "make")
                make(std::stoi(argv[3]), argc > 4 ? std::stoi(argv[4]) : SEAL_CASES);
            else
                check(std::stoi(argv[3]));
        } else if (what == "seeded") {
            dir = argv[3];
            seeded(argv[2]);
        } else {
            throw std::runtime_error("driver make | check DIR LEVEL, driver seeded FILE DIR");
        }
    } catch (const std::exception &e) {
        std::cerr << "driver: " << e.what() << "\n";
        return 1;
    }
    if (right + wrong) std::cout << "seal: " << right << " passed, " << wrong << " failed\n";
    return wrong != 0;
}
