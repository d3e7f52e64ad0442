// Weights as the page embeds them: deploy/draw/encoding.py writes the text that this reads.

/** Return the weights that a text encodes, one tensor after the other. */
async function decoded(encoded) {
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
