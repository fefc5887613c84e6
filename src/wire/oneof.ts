/**
 * The setter of a oneof, as generated code calls it for each member that it decodes.
 *
 * protobufjs's own deletes every other member of the oneof, whether it is there or not. A command has 42, and the engine
 * goes into its runtime for each: 3 to 8 % of what a follower did for a stored key. Here only what is there is looked at.
 */
import protobuf from "protobufjs/minimal.js";

function oneOfSetter(members: readonly string[]): (this: Record<string, unknown>, name?: string) => void {
  const known = new Set(members);
  return function (name) {
    for (const key of Object.keys(this)) if (key !== name && known.has(key)) delete this[key];
  };
}

// Generated code asks for its setters when it loads, so this stands before its import.
(protobuf.util as unknown as Record<string, unknown>)["oneOfSetter"] = oneOfSetter;
