// Texts as the page embeds them: bytes, deflated, in base 85. deploy/draw/encoding.py writes them.

const UNSAFE = "\"$%&'<>\\`";
const DIGITS = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).filter((digit) => !UNSAFE.includes(digit));
const VALUES = new Map(DIGITS.map((digit, value) => [digit, value]));

/** Return the bytes of a text in base 85, inflated. */
async function inflated(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return the bytes of a text in base 85: five digits are four bytes, the highest first. */
function bytesOf(text) {
  const bytes = new Uint8Array(Math.floor((text.length * 4) / 5));
  for (let start = 0, at = 0; start < text.length; start += 5) {
    let number = 0;
    for (let index = start; index < start + 5; index++) number = number * 85 + (VALUES.get(text[index]) ?? 84);
    for (let place = 2 ** 24; place >= 1 && at < bytes.length; place /= 256) bytes[at++] = Math.floor(number / place) % 256;
  }
  return bytes;
}
