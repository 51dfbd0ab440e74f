"""Makes tests/data/bytebpe.json, unigram.json, awkward.jsonl and pipelines.jsonl with the tokenizers library (pip
install tokenizers): python3 tests/vocabularies.py.  constants.py makes them again and compares.

The text that the two vocabularies are trained on is made here; so is the map of characters,
    whose double array is laid
out by the rules of Darts-clone."""
import base64
import json
import math
import random
import struct
import sys

FOLDER = "tests/data/"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]

# ---- text to train on

SUBJECTS = ("the film", "a good story", "this book", "the old house", "her second song", "my neighbour's dog",
            "the play", "it", "nobody", "the actor", "what they're doing", "the screening room", "a charming journey")
VERBS = ("was", "isn't", "seemed", "won't be", "has been", "didn't look", "became", "would've been", "I'm told is")
ENDS = ("good", "rather slow", "not worth 12 dollars", "charming and affecting", "better than in 1999", "too long",
        "quiet", "wonderful", "as expected", "what we'd hoped for", "a disappointment", "full of singing",
        "hardly watchable")
FOREIGN = ("la película es buena", "das Stück war überraschend schön", "le café était très agréable",
           "фильм был хорош", "映画は良い", "这部电影很好", "영화가 좋다", "الفيلم جيد", "הסרט טוב",
           "फ़िल्म अच्छी है", "ταινία καλή", "phim hay lắm")


def training_text():
    r = random.Random(14)
    for i in range(3000):
        line = f"{r.choice(SUBJECTS)} {r.choice(VERBS)} {r.choice(ENDS)}{r.choice(['.', '!', ', ', '...', ''])}"
        yield line[0].upper() + line[1:] if i % 2 else line
        if i % 8 == 0:
            yield r.choice(FOREIGN)


def pieces():
    """The 360 substrings of words that save most, and every character, with the logarithms of their shares: a
    vocabulary for Unigram without its trainer, whose sums come in no fixed order."""
    count = {}
    for line in training_text():
        for word in line.split():
            word = "\u2581" + word
            for i in range(len(word)):
                for j in range(i + 1, min(i + 9, len(word)) + 1):
                    count[word[i:j]] = count.get(word[i:j], 0) + 1
    best = sorted(count, key=lambda p: (-count[p] * (len(p) - 1), p))[:360] + sorted(p for p in count if len(p) == 1)
    total = sum(count[p] for p in best)
    return [(t, 0.0) for t in SPECIAL] + [(p, round(math.log(count[p] / total), 5)) for p in best]


# ---- the map of characters

MAP = {"\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "\r": " ", "\u200b": "", "\u00ad": "", "\ufeff": "",
       "\u0001": "", "\ufb01": "fi", "\u00bd": "1\u20442", "\u2460": "1", "\uff21": "A", "\uff46": "f",
       "\u2026": "...",
       "\u2122": "TM", "\u00e9": "\u00e9", "e\u0301": "\u00e9", "u\u0308": "\u00fc", "a\u030a": "\u00e5",
       "o\u0302\u0301": "\u1ed1", "\uff9e": "\u3099", "\uac00": "\u1100\u1161", "\u1100\u1161": "\uac00"}


def double_array(keys):
    """Units of a double array for {bytes: value}: bit 8 leaf, bits 0-7 label, bits 10-30 offset."""
    trie = {}
    for key, value in keys.items():
        node = trie
        for byte in key:
            node = node.setdefault(byte, {})
        node[None] = value
    units, taken, bases = {}, {0}, set()

    def place(node, at, label):
        labels = [0 if b is None else b for b in node]
        base = 1
        while base in bases or any(base ^ b in taken for b in labels):
            base += 1
        bases.add(base)
        taken.update(base ^ b for b in labels)
        units[at] = label | (None in node) << 8 | (base ^ at) << 10
        for b in node:
            if b is None:
                units[base] = node[b] | 1 << 31
            else:
                place(node[b], base ^ b, b)

    place(trie, 0, 0)
    return [units.get(i, 0) for i in range((max(units) // 256 + 1) * 256)]


def charsmap(pairs):
    texts, place = b"", {}
    for text in pairs.values():
        if text not in place:
            place[text] = len(texts)
            texts += text.encode() + b"\0"
    units = double_array({key.encode(): place[text] for key, text in pairs.items()})
    return base64.b64encode(struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + texts).decode()


# ---- awkward texts

SINGLE = [
    "", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u200b", "a", " a", "a ", "  a  ", "\u3000", "\u2028", "\x00",
    "\x00a\x00b", "\x01\x02\x03", "a\x07b", "\x1b[31mred\x1b[0m", "\x7f", "\x85", "a\x85b", "a\u2028b\u2029c",
    "line\nline", "line\r\nline", "line\n\nline", "line \n line", "tab\ttab", "tab\t\ttab", " \t \n \r ",
    "trailing\n", "trailing \n", "\nleading", "a  b", "a   b", "a    b", "a\u00a0b", "a \u00a0b", "a\u00a0 b",
    "\u00a0\u00a0a", "a\u2003b", "a\u3000b", "a\u1680b", "a\u202fb",
    # contractions
    "it's", "It's", "IT'S", "don't", "they're", "we've", "I'm", "he'll", "she'd", "'s", " 's", "''s", "'t", "'re",
    "'ve", "'m", "'ll", "'d", "'l", "'r", "'v", "'", "''", "'''", "' s", "'S", "it\u2019s", "rock'n'roll", "o'clock",
    "'tis", "y'all'd've", "'should", "'media", "a's's's",
    # punctuation, numbers
    "...", "a...b", "!!!", "?!", "a,b", "a , b", "(a)", "[b]", "{c}", "<d>", "a-b-c", "--", "\u2014", "a\u2014b",
    "\u2026", "3.14", "1,000,000", "12 dollars", "1st", "x2y", "2x", "0x1F", "\u00bd cup", "\u2460\u2461",
    "\u0663\u0664", "\u0967\u0968", "\u2167", "$5", "5%", "#tag", "@user", "a_b", "__init__",
    "http://a.b/c?d=e&f=g#h", "me@example.org", "C:\\dir\\file", "\"quoted\"", "``quoted''", "a/b", "a\\b", "~", "^",
    "|", "`", "\u20ac5", "\u00a35", "\u2122", "\u00a9 2026", "\u2212x", "\u221e", "\u2260",
    # letters of many kinds
    "caf\u00e9", "cafe\u0301", "CAF\u00c9", "\u00fcber", "u\u0308ber", "\u00e5ngstr\u00f6m", "a\u030angstro\u0308m",
    "na\u00efve", "Stra\u00dfe", "STRASSE", "\u0130stanbul", "\u0131", "\u01c5", "\ufb01lm", "\ufb03",
    "o\u0302\u0301", "\u1ed1", "q\u0323\u0307", "q\u0307\u0323", "\u0301", "\u0301a", "a\u0301\u0301\u0301\u0301",
    "e\u0301e\u0301", "\u00aa\u00ba", "\u02b0\u02b1", "\ua722", "\u0444\u0438\u043b\u044c\u043c",
    "\u0424\u0418\u041b\u042c\u041c", "\u0439", "\u0438\u0306", "\u03c4\u03b1\u03b9\u03bd\u03af\u03b1",
    "\u03a3\u03c3\u03c2", "\u6620\u753b\u306f\u826f\u3044", "\u8fd9\u90e8\u7535\u5f71\u5f88\u597d", "\u597d\u597d",
    "\u597d movie \u597d", "a\u597db", "\uc601\ud654\uac00 \uc88b\ub2e4", "\uac00", "\u1100\u1161",
    "\u1112\u1161\u11ab", "\u304c", "\u304b\u3099", "\uff76\uff9e", "\uff46\uff49\uff4c\uff4d", "\uff21\uff22\uff23",
    "\uff11\uff12", "\u3001\u3002", "\U0002a6a5", "\u2ff0", "\u0627\u0644\u0641\u064a\u0644\u0645 \u062c\u064a\u062f",
    "\u0627\u0644\u0652\u0641\u0650\u064a\u0644", "\u05d4\u05e1\u05e8\u05d8 \u05d8\u05d5\u05d1",
    "\u05d4\u05b7\u05e1\u05b0\u05e8\u05b8\u05d8", "\u202eabc\u202c", "a\u200fb\u200ec", "\u0644\u0627", "\ufefba",
    "\u092b\u093c\u093f\u0932\u094d\u092e", "\u0915\u094d\u0937", "\u0e20\u0e32\u0e1e\u0e22\u0e19\u0e15\u0e23\u0e4c",
    "\u0e19\u0e49\u0e33", "\u0f40\u0f7a", "\u1780\u17d2", "\u0d15\u0d4d\u200d", "\u10d0\u10d1", "\u1e9e", "\u1f80",
    # emoji
    "\U0001f600", "\U0001f600\U0001f600", "good \U0001f44d", "\U0001f44d\U0001f3fd",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\u2764\ufe0f", "\u2764", "\U0001f1e9\U0001f1ea",
    "\U0001f1e9\U0001f1ea\U0001f1eb", "\U0001f3f3\ufe0f\u200d\U0001f308", "1\ufe0f\u20e3", "\u00a9\ufe0f",
    "a\U0001f600b", "\U0001f600\u0301", "\U0001f9d1\U0001f3ff\u200d\U0001f680",
    "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    # invisible, private, unassigned
    "a\u200bb", "a\u200db", "a\u200cb", "a\u00adb", "\ufeffa", "a\ufeff", "a\u2060b", "\ue000", "\U000f0000",
    "\U0010ffff", "\ufffd", "a\ufffdb", "\ufffe", "\ufdd0", "\U0001d518\U0001d52b", "\U0001d7d8", "\u2581", "\u2581a",
    "a\u2581b", "\u2581\u2581", "a \u2581 b", "\u0120a", "\u010a",
    # tokens in the text
    "<s>", "</s>", "<mask>", "a <mask> b", "a<mask>b", " <mask>", "<mask> ", "<mask><mask>", "<mas", "<mask", "mask>",
    "<unk>", "a<unk>b", "<pad>x", "<S>", "the <s> film", "good</s>film", "[MASK]", "<0x41>", "filmstar",
    "the filmstar!", "filmstars", "xfilmstar", "FILMSTAR",
    # words that are long or odd
    "x" * 120, "good" * 40, "ab" * 60, "disestablishmentarianisms", "goodgoodbad", "thefilmwasgood", "Thefilm",
    "tHe FiLm", "THE FILM WAS GOOD", "a" * 33 + "!" * 33, "the " * 20, "e\u0301" * 30, "\u597d" * 40,
    "\U0001f600" * 12, "\u200d" * 10, "'" * 21, "\n" * 17, " " * 25 + "x", "the film was good.",
    "It isn't what we'd hoped for...", "Nobody's screening-room was charming!",
    "what they're doing would've been wonderful", "Le caf\u00e9 \u00e9tait tr\u00e8s agr\u00e9able, isn't it?",
]
PAIRS = [
    ("the film", "was good"), ("a", "b"), ("it's", " 's"), ("caf\u00e9", "cafe\u0301"), ("\U0001f600", "\u597d"),
    ("a <mask>", "<mask> b"), ("the film was good.", "Nobody's dog"), ("x ", " y"), ("</s>", "<s>"), ("1\n2", "3\t4"),
]


def trained(tokenizers):
    """The two tokenizers, as objects of JSON."""
    Tokenizer, models = tokenizers.Tokenizer, tokenizers.models
    pre_tokenizers, trainers = tokenizers.pre_tokenizers, tokenizers.trainers
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=520, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False))
    one, two = json.loads(bpe.to_str()), json.loads(Tokenizer(models.Unigram(pieces(), 3)).to_str())
    one["model"]["merges"] = [" ".join(m) for m in one["model"]["merges"]]
    two["pre_tokenizer"] = json.loads(pre_tokenizers.Metaspace().__getstate__())
    two["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": charsmap(MAP)},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    for o, post in ((one, {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
                           "add_prefix_space": False}),
                    (two, {"type": "TemplateProcessing",
                           "single": [special("<s>"), text("A"), special("</s>")],
                           "pair": [special("<s>"), text("A"), special("</s>"), special("</s>"), text("B"),
                           special("</s>")],
                           "special_tokens": {t: {"id": t, "ids": [SPECIAL.index(t)], "tokens": [t]} for t in ("<s>",
                           "</s>")}})):
        o["post_processor"] = post
        size = len(o["model"]["vocab"])
        o["added_tokens"] = [added(i, t) for i, t in enumerate(SPECIAL)] + [
            added(size, "<mask>", lstrip=True), added(size + 1, "filmstar", special=False, single_word=True)]
    return one, two


def special(name):
    return {"SpecialToken": {"id": name, "type_id": 0}}


def text(name):
    return {"Sequence": {"id": name, "type_id": 0}}


def added(token, content, **flags):
    return {"id": token, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False,
            "special": True, **flags}


def trimmed(where, begin, end):
    while begin < end and where[begin].isspace():
        begin += 1
    while begin < end and where[end - 1].isspace():
        end -= 1
    return len(where[:begin].encode()), len(where[:end].encode())


def answer(bpe, unigram, line):
    """ids of both; of the first also bytes (first and behind the last, white space left out) and words, -1 outside."""
    texts = line["text"], line.get("pair")
    one = bpe.encode(*texts) if texts[1] is not None else bpe.encode(texts[0])
    two = unigram.encode(*texts) if texts[1] is not None else unigram.encode(texts[0])
    o = {"bytes": one.ids, "pieces": two.ids}
    if line.get("spans"):
        o["spans"] = [list(trimmed(texts[s], *span)) if s is not None else [0, 0]
                      for s, span in zip(one.sequence_ids, one.offsets)]
        o["words"] = [-1 if s is None else w for s, w in zip(one.sequence_ids, one.word_ids)]
    return o


# ---- other models, steps and templates: each with some texts


def pipelines():
    chars = "abdefghilnorstuwTHE019,.!-'\u00e9\u00df\u0301\u4f60 \u2581"
    tokens = ["<unk>", "<s>", "</s>"] + list(chars)
    merged = ["th", "the", "he", "er", "ll", "ing", "in", "or", "wor", "world", "ld", "ab", "aba", "ba", "11", "--"]
    marked = tokens + ["##" + c for c in chars] + merged + ["##" + m for m in merged]
    plain = tokens + merged + [f"<0x{b:02X}>" for b in sorted(set("".join(TEXTS).encode()))]
    ended = tokens + [c + "</w>" for c in chars] + merged + ["the</w>", "er</w>"]
    merges = [("t", "h"), ("th", "e"), ("h", "e"), ("e", "r"), ("l", "l"), ("l", "d"), ("i", "n"), ("b", "a"), ("a",
        "b"),
              ("ab", "a"), ("a", "ba"), ("1", "1"), ("o", "r"), ("w", "or"), ("wor", "ld"), ("-", "-")]
    models = {
        "wordpiece": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 12, "vocab": ids(marked)},
        "bpe": {"type": "BPE", "unk_token": "<unk>", "vocab": ids(plain), "merges": [list(m) for m in merges]},
        "prefixed": {"type": "BPE", "unk_token": "<unk>", "continuing_subword_prefix": "##", "vocab": ids(marked),
                     "merges": [["t", "##h"], ["th", "##e"], ["##l", "##l"], ["a", "##b"]]},
        "ended": {"type": "BPE", "unk_token": "<unk>", "end_of_word_suffix": "</w>", "vocab": ids(ended),
                  "merges": [["t", "h"], ["th", "e</w>"], ["e", "r</w>"], ["a", "b"]]},
        "unigram": {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                    "vocab": [[t, -0.5 * (i % 7) - 2] for i, t in enumerate(plain)]},
        "bytes": {"type": "BPE", "vocab": ids(["<s>", "</s>"] + byte_chars() + merged + ["\u0120the", "\u0120th"]),
                  "merges": [list(m) for m in merges] + [["\u0120", "th"], ["\u0120th", "e"]]}}
    words, white = {"type": "BertPreTokenizer"}, {"type": "WhitespaceSplit"}
    gpt2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
              r"|\s+(?!\S)|\s+")
    cuts = ("Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext")

    def meta(**more):
        return {"type": "Metaspace", "replacement": "\u2581", **more}

    def split(pattern, behavior, invert=False):
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}

    yield {"models": models}
    for model in models:
        yield case(model, pre_tokenizer=words)
    yield case("bpe", {"fuse_unk": True}, pre_tokenizer=white)
    yield case("bpe", {"byte_fallback": True}, pre_tokenizer=white)
    yield case("bpe", {"ignore_merges": True}, pre_tokenizer=white)
    yield case("bpe", {"unk_token": None}, pre_tokenizer=white)
    yield case("unigram", {"byte_fallback": True}, pre_tokenizer=meta(prepend_scheme="first", split=False))
    yield case("unigram", pre_tokenizer=None)
    for scheme in ("always", "first", "never"):
        yield case("unigram", pre_tokenizer=sequence("pretokenizers", white, meta(prepend_scheme=scheme)))
    yield case("unigram", pre_tokenizer=meta(add_prefix_space=False, prepend_scheme="never"))
    for cut in cuts:
        yield case("wordpiece", pre_tokenizer={"type": "Punctuation", "behavior": cut})
        yield case("wordpiece", pre_tokenizer=split({"String": "l"}, cut, cut in cuts[::2]))
    yield case("wordpiece", pre_tokenizer=split({"Regex": gpt2}, "Isolated"))
    yield case("wordpiece", pre_tokenizer=split({"Regex": "\\s+"}, "Isolated"))
    for digits in ("{1,3}", ""):
        yield case("wordpiece", pre_tokenizer=split({"Regex": llama3 % digits}, "Isolated"))
        yield case("bpe", pre_tokenizer=split({"Regex": llama3 % digits}, "Isolated"))
    for kind in ({"type": "Whitespace"}, {"type": "Digits", "individual_digits": True},
                 {"type": "Digits", "individual_digits": False}, {"type": "CharDelimiterSplit", "delimiter": "-"}):
        yield case("bpe", pre_tokenizer=kind)
    yield case("bpe", pre_tokenizer=sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, {
        "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}))
    replace = {"type": "Replace", "pattern": {"String": "th"}, "content": "TH"}
    joined = {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}
    for steps in ((replace, joined), ({"type": "Strip", "strip_left": True, "strip_right": False},),
                  ({"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "},
                  "content": "\u2581"}),
                  ({"type": "Nmt"}, {"type": "NFKC"}), ({"type": "NFD"}, {"type": "StripAccents"},
                  {"type": "Lowercase"}),
                  ({"type": "ByteLevel"},), (sequence("normalizers", {"type": "NFC"}), {"type": "Lowercase"})):
        yield case("bpe", normalizer=sequence("normalizers", *steps))
    specials = {t: {"id": t, "ids": [i], "tokens": [t]} for i, t in ((1, "<s>"), (2, "</s>"))}
    for post in ({"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]},
                 sequence("processors", {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False},
                          {"type": "TemplateProcessing", "single": [text("A"), special("</s>")],
                           "pair": [text("B"), special("<s>"), text("A")], "special_tokens": specials})):
        yield case("bpe", pre_tokenizer=words, post_processor=post)
    yield from decoders(llama3, split)


def decoders(llama3, split):
    """Whole files of the kinds that Llama 3, Qwen2 and Llama 2 have."""

    def before(token, at):
        begin = [special(token)]
        return {"type": "TemplateProcessing", "single": [*begin, text("A")], "pair": [*begin, text("A"), *begin,
                text("B")], "special_tokens": {token: {"id": token, "ids": [at], "tokens": [token]}}}

    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    yield case("bytes", {"ignore_merges": True}, post_processor=sequence("processors", level, before("<s>", 0)),
               pre_tokenizer=sequence("pretokenizers", split({"Regex": llama3 % "{1,3}"}, "Isolated"), level))
    yield case("bytes", normalizer={"type": "NFC"}, post_processor=level,
               pre_tokenizer=sequence("pretokenizers", split({"Regex": llama3 % ""}, "Isolated"), level))
    yield case("bpe", {"byte_fallback": True, "fuse_unk": True}, post_processor=before("<s>", 1),
               normalizer=sequence("normalizers", {"type": "Prepend", "prepend": "\u2581"},
                                   {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}))


def byte_chars():
    """The characters of byte-level vocabularies, in the order of the bytes."""
    shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    hidden = [b for b in range(256) if b not in shown]
    return [chr(b if b in shown else 256 + hidden.index(b)) for b in range(256)]


def ids(tokens):
    return {t: i for i, t in enumerate(tokens)}


def sequence(name, *all_of):
    return {"type": "Sequence", name: list(all_of)}


def case(model, changes=None, **parts):
    return {"model": model, "set": changes or {}, **parts}


TEXTS = ["the world's 11 --ab-a, aba.", "  The \u4f60\u4f60 x\u0301y h\u00e9llo!  ", "aba-ababa--therein 0119 it'll",
         "I'LL 'The\n\n  (the) 01190,\r\n\tall-b!!\n or  the \n -\nin\u0301"]


def whole(models, o):
    return json.dumps({"version": "1.0", "added_tokens": [], "normalizer": o.get("normalizer"), "decoder": None,
                       "pre_tokenizer": o.get("pre_tokenizer"), "post_processor": o.get("post_processor"),
                       "model": {**models[o["model"]], **o["set"]}})


def pipeline_lines(tokenizers):
    first, *cases = pipelines()
    yield dump({**first, "texts": TEXTS})
    for o in cases:
        t = tokenizers.Tokenizer.from_str(whole(first["models"], o))
        yield dump({**o, "ids": [t.encode(s).ids for s in TEXTS], "pair": t.encode(*TEXTS[:2]).ids})


# ---- the files


def dump(o):
    return json.dumps(o, separators=(",", ":"))


def awkward_lines(tokenizers, one, two):
    bpe, unigram = (tokenizers.Tokenizer.from_str(json.dumps(o)) for o in (one, two))
    for i, texts in enumerate([(s, None) for s in SINGLE] + PAIRS):
        line = {"text": texts[0]}
        if texts[1] is not None:
            line["pair"] = texts[1]
        if i % 5 == 0 and len(texts[0]) < 40:
            line["spans"] = 1
        yield dump({**line, **answer(bpe, unigram, line)})


def files(tokenizers):
    """Name and text of each."""
    one, two = trained(tokenizers)
    for name, o in (("bytebpe.json", one), ("unigram.json", two)):
        yield name, json.dumps(o, ensure_ascii=False, separators=(",", ":")) + "\n"
    yield "awkward.jsonl", "\n".join(awkward_lines(tokenizers, one, two)) + "\n"
    yield "pipelines.jsonl", "\n".join(pipeline_lines(tokenizers)) + "\n"


def main():
    import tokenizers
    for name, content in files(tokenizers):
        with open(FOLDER + name, "w", encoding="utf-8") as f:
            f.write(content)


if __name__ == "__main__":
    sys.exit(main())
