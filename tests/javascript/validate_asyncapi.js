// Validates an AsyncAPI document: node validate_asyncapi.js FILE. Prints what is wrong as JSON, and what it has.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const found = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("."), message }));
console.log(JSON.stringify({ found, operations: document?.operations().length, messages: document?.allMessages().length }));
