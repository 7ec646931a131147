// Prints what the reference implementation makes of some thousand expressions, a JSON
// line each: the expression, and its value, its error, or neither for undefined.
//
//	npm install jsonata@2.0.6 && node reference.mjs > reference.jsonl
import jsonata from "jsonata";

const input = {
  n: 5, f: 1.5, neg: -3, zero: 0, t: "Hello World", e: "", b: true, nul: null, one: [7], none: [], l: [3, 1, 2], m: [1, "a", null, true],
  nested: [[1, 2], [3]], o: { k: "v", x: { y: 1 } }, unicode: "héllo ✓ 😀", empty: {},
  items: [{ id: "a", price: 10, qty: 2, tags: ["x", "y"] }, { id: "b", price: 5.5, qty: 1, tags: ["x"] }, { id: "c", price: 20, qty: 0, tags: [] }],
  single: [{ id: "a", price: 10, tags: ["x"] }],
};

const paths = `n f t e b nul one none l m nested o missing o.x.y items items.price items[-1] items[price>6].id single.tags l[[0..1]]
  items.(price*qty) items.{"i":id} items.[id,price] items^(>price)[0].id items["y"·in·tags].id items{id:price} missing{id:price} single.id[] items.*`
  .split(/\s+/).map((p) => "$states.input." + p.replaceAll("·", " "));

const forms = `P [P] {"r":P} (P)[0] P[] P.id [P.id] -P P+1 1-P P*2 P/2 P%2 P&"!" P=null P="a" P!=1 P>2 P<="b" "x"<P "a"·in·P P·in·[1,"a"] P·and·true P·or·false
  P?"y":"n" ($x:=P;$x) $count(P)>0?P[0]:"none" [1..P] [P,1,P] {P:1} {"a":1,"b":P} P~>$string P~>$count() $states.input~>|o|{"k":P}|
  $count(P) $exists(P) $type(P) $string(P) $string(P,true) $boolean(P) $not(P) $number(P) $sum(P) $max(P) $min(P) $average(P) $abs(P) $floor(P) $ceil(P) $round(P)
  $sqrt(P) $power(P,2) $length(P) $uppercase(P) $lowercase(P) $trim(P) $substring(P,1,3) $substring("abc",P) $substringBefore(P,"·") $substringAfter("abc",P)
  $pad(P,10) $contains(P,"a") $contains("abc",P) $split(P,"·") $split(P,/[·,]/) $join(P,"-") $join(["a","b"],P) $replace(P,"l","L") $replace(P,/o/,"0") $match(P,/l+/)
  $keys(P) $lookup(P,"id") $lookup({"a":1},P) $append(P,[9]) $append(1,P) $spread(P) $merge(P) $merge([P,{"z":1}]) $reverse(P) $sort(P) $distinct(P) $zip(P,[1,2])
  $map(P,function($v,$i){$i}) $map(P,$string) $filter(P,function($v){$v=1}) $filter(P,function($v){true}) $single(P,function($v){$v=7}) $reduce(P,function($a,$b){$a&$b})
  $sift(P,function($v){$v=1}) $each(P,function($v,$k){$k}) $sort(P,function($a,$b){$a>$b}) $error(P) $assert(P,"bad") $formatNumber(P,"#,##0.00") $formatBase(P,2)
  $fromMillis(P) $encodeUrlComponent(P) $base64encode(P) $nothing(P) ($f:=function($x){$x+1};$f(P)) ($g:=$append(?,P);$g(0))`
  .split(/\s+/).map((f) => f.replaceAll("·", " "));

const plain = (v) => JSON.parse(JSON.stringify(v, (_, x) => (typeof x === "number" && !isFinite(x) ? String(x) : x)));

// What writes and reads pictures, and searches.
const each = (form, firsts, seconds) => firsts.flatMap((p) => seconds.map((q) => form.replaceAll("P", () => p).replaceAll("Q", () => JSON.stringify(q))));
const numbers = ["0", "1", "-1", "-0.5", "0.05", "1.005", "1.015", "2.5", "99.995", "-1234.5678", "12345678.9", "1e6"];
const whole = numbers.filter((n) => Number.isInteger(+n));
const written = [
  ...each("$formatNumber(P,Q)", numbers, ["0", "#", "00", "0.0", "0.00", "#0.0#", "0.##", "#,##0", "#,##0.00", "#,##0.##", "#,###", "0,000", "$0.00", "0;(0)", "#,##0.00;(#,##0.00)"]),
  ...each("$formatInteger(P,Q)", whole, ["w", "W", "Ww", "w;o", "i", "I", "a", "A", "1", "0001", "#,##0", "1;o"]),
  ...each("$formatBase(P,2)", whole, [""]),
  ...each("$power(P,2)", whole, [""]), "$power(2,-2)", "$power(1.5,3)", "$power(2,0)",
  ...each("$fromMillis(P,Q)", ["1521801216617", "951782405007", "-86400001"], `[Y]-[M]-[D] [Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001] [Y,2] [MNn] [MN] [MNn,3-3] [D1o] [Dwo] [d] [d001] [F] [F1] [FN] [Fn] [FNn] [FNn,3-3] [W01] [w] [X] [x] [h]:[m01] [h#1] [P] [PN] [Z] [z] [[Y]]`.split(" ")),
  ...each("$fromMillis(P,Q)", ["1230768000123", "1735689599000"], `[Y,2-2]/[M,2]/[D,2] [D1o]·[MNn,*-3]·[Y] [FNn],·[D]·[Mn]·[YI] [X0001]-W[W01]-[F1] [Y]-[d001]·[DWwo] [w]·of·[xNn] [H,2]:[m,2]:[s,2] [s01].[f,3-3] [f] [#1] [Y [YN] [Z0] [z01]·[Z0101t] [Z00:00] [[]]] [Da]·[MA] [Y9,999,*] [H·0·1]`.split(" ").map((q) => q.replaceAll("·", " "))),
  ...each("$fromMillis(1521801216617,Q,P)", ['"+0530"', '"-0800"', '"1400"'], ["[H01]:[m01] [Z]", "[Z0101]", "[z1]", "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01][Z]"]),
  ...each("$formatInteger(P,Q)", ["0", "7", "12", "21", "100", "1101", "1000000", "123456789"], ["w", "Ww;o", "W", "I", "A", "01;o", "#,##0;o", "0,0,0", "#,##,##0", "1;", "x", "#"]).filter((x) => !/[1-9]0{5}.*"I"|123456789,"I"/.test(x)),
  ...each("$toMillis($fromMillis(P,Q),Q)", ["0", "1735689599000"], ["[Y0001]-[M01]-[D01]", "[M01]/[D01]/[Y0001]", "[D1o] [MNn] [Y]", "[FNn], [D] [MNn,3-3] [Y]", "[Y]-[M]-[D] [h]:[m01] [P]", "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z]", "[Y0001][M01][D01][H01][m01]", "[Y]-[d001]", "[X]-W[W01]-[F1]", "[YI]-[Mw]-[Dwo]", "[Y]-[C]"]),
  ...each("$toMillis(P,Q)", ['"2024-03-05"', '"5th MARCH 2024"', '"5 March 2024 GMT-07:00"', '"x"'], ["[Y0001]-[M01]-[D01]", "[D1o] [MNn] [Y]", "[D] [MNn] [Y] [z]", "[Y]-[D]"]),
  ...each("$parseInteger(P,Q)", ['"one thousand, two hundred and three"', '"twenty-first"'], ["w", "Ww;o"]), '$parseInteger("xiv","i")', '$parseInteger("zz","a")', '$parseInteger("1st","1;o")', '$parseInteger("12 apples","0")',
  ...each("$parseInteger(P,Q)", ['"12"', '"012"'], ["0", "01", "#0"]), '$parseInteger("1,234","#,##0")', '$parseInteger("MCMXC","I")', '$parseInteger("twenty-three","w")',
  ...["P", "P,1"].flatMap((p) => ["$match", "$split"].map((f) => `${f}(${p})`)).concat("$contains(P)", "$replace(P,'_')", "$replace(P,'[$0]',1)", "$replace(P,function($m){$uppercase($m.match)})")
    .flatMap((form) => ["'Hello World',/o/", "'héllo',/l+/", "'a,b,,c',/,/", "'ABC123def',/[a-z]+/i", "'abc',/^[a-z]*$/", "'a1b2',/([a-z])([0-9])/", "'x',/y*z/"].map((on) => form.replaceAll("P", () => on))),
  "$match('abc',/x*/)", "$replace('abc',/x*/,'_')", "$split('abc',/x*/)", "$contains('abc',/x*/)", "$replace('😀x',/x/,'y')", "$split('😀,x',/,/)",
];

for (const x of [...forms.flatMap((form) => paths.map((path) => form.replaceAll("P", () => path))), ...written]) {
  const line = { x };
  try {
    const expression = jsonata(x);
    expression.assign("states", { input: JSON.parse(JSON.stringify(input)) });
    const value = await expression.evaluate(undefined);
    if (value !== undefined) line.v = plain(value);
  } catch (e) {
    line.e = e.code ? `${e.code}: ${e.message}` : "?"; // an error of JavaScript has no words of its own
  }
  console.log(JSON.stringify(line));
}
