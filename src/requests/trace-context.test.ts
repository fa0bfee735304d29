import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseTraceparent, parseTracestate, readTraceText, traceText } from "./trace-context.ts";

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe("the trace that a request belongs to", () => {
  test("of version 00 is passed on as it is, but for flags that nobody knows", () => {
    assert.equal(parseTraceparent(parent), parent);
    assert.equal(parseTraceparent(parent.replace(/01$/, "ff")), parent.replace(/01$/, "03"));
  });

  test("of a later version is passed on as version 00 knows it", () => {
    assert.equal(parseTraceparent(parent.replace(/^00/, "cc")), parent);
    assert.equal(parseTraceparent(`${parent.replace(/^00/, "cc")}-what-will-come`), parent);
    assert.equal(parseTraceparent(`${parent.replace(/^00/, "cc")}.what`), undefined);
  });

  test("is dropped when it breaks the rules", () => {
    const wrong = [
      "",
      parent.toUpperCase(),
      `${parent}-more`,
      ` ${parent}`,
      parent.slice(1),
      parent.replace(/^00/, "ff"),
      parent.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
      parent.replace("b7ad6b7169203331", "0".repeat(16)),
      parent.replaceAll("-", "_"),
      parent.replace("0af7", "0ag7"),
    ];
    for (const text of [...wrong, 7, null, undefined, {}]) assert.equal(parseTraceparent(text), undefined, String(text));
  });
});

describe("what vendors add to a trace", () => {
  test("keeps its order, without empty members and the blanks around them", () => {
    assert.equal(parseTracestate("rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE,,\t"), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    assert.equal(parseTracestate("fw529a3039@dt=FfAAFfA*_-/@,2=b c"), "fw529a3039@dt=FfAAFfA*_-/@,2=b c");
  });

  test("is dropped as a whole when one member breaks the rules, or when there are too many", () => {
    for (const text of [
      "a",
      "a=",
      "A=1",
      "a=1,a=2",
      "a=b=c",
      "a=ü",
      "@a=1",
      "a=1;b=2,c",
      ",",
      "",
      `${"k".repeat(257)}=1`,
      `a=${"v".repeat(257)}`,
    ])
      assert.equal(parseTracestate(text), undefined, text);
    const many = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=v`).join(",");
    assert.equal(parseTracestate(many(32)), many(32));
    assert.equal(parseTracestate(many(33)), undefined);
  });

  test("above 512 characters loses its long members first, then its last ones", () => {
    const long = `long=${"v".repeat(150)}`;
    const short = Array.from({ length: 4 }, (_, index) => `s${index}=${"v".repeat(97)}`);
    const [first = "", ...rest] = short;
    assert.equal(parseTracestate([first, long, ...rest].join(",")), short.join(","));
    const six = Array.from({ length: 6 }, (_, index) => `s${index}=${"v".repeat(97)}`);
    assert.equal(parseTracestate(six.join(",")), six.slice(0, 5).join(","));
  });
});

test("what travels is read as what was said, whatever was said; what is not ours to read is nothing", () => {
  const hex = (length: number) =>
    fc.array(fc.constantFrom(..."0123456789abcdef"), { minLength: length, maxLength: length }).map((all) => all.join(""));
  const parents = fc
    .tuple(hex(32), hex(16), fc.constantFrom("00", "01", "02", "03"))
    .map(([trace, span, flags]) => `00-${trace}-${span}-${flags}`);
  const texts = fc.oneof(parents, fc.string(), fc.constant(parent));
  const states = fc.option(fc.oneof(fc.string(), fc.constant("a=1,b=2"), fc.string({ unit: "binary", maxLength: 700 })), {
    nil: undefined,
  });
  fc.assert(
    fc.property(texts, states, (traceparent, tracestate) => {
      const text = traceText({ traceparent, tracestate });
      assert.equal(text === undefined, parseTraceparent(traceparent) === undefined);
      if (text === undefined) return;
      assert.ok(text.length <= 567 && /^[\x20-\x7e]+$/.test(text));
      const state = parseTracestate(tracestate);
      assert.deepEqual(readTraceText(text), {
        traceparent: parseTraceparent(traceparent),
        ...(state === undefined ? {} : { tracestate: state }),
      });
    }),
  );
  assert.equal(readTraceText("nonsense"), undefined);
  assert.deepEqual(readTraceText(`${parent}nonsense`), { traceparent: parent });
});
