export * from "./types.js";
export * from "./message.js";
export * from "./effects.js";
export * from "./api.js";
