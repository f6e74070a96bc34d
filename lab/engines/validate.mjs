// Checks each definition on standard input, a list of strings, with both public validators, and prints their findings.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const validate = require("asl-validator");
const { getLanguageService } = require("amazon-states-language-service");
const { TextDocument } = require("vscode-languageserver-textdocument");

const service = getLanguageService({});
const results = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  const { errors } = await validate(JSON.parse(text), { checkPaths: true, checkArn: true });
  const document = TextDocument.create("file:///scalein.asl.json", "asl", 1, text);
  const findings = await service.doValidation(document, service.parseJSONDocument(document));
  results.push({
    validator: errors.map((e) => JSON.stringify(e)),
    language_service: findings.map((d) => `line ${d.range.start.line + 1}: ${d.message}`),
  });
}
process.stdout.write(JSON.stringify(results), () => process.exit(0));
