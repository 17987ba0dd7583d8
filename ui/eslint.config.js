import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", ".mock-dist", "node_modules", "src/bindings"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // The generated bindings are aliases, and so are the types beside them.
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/consistent-type-imports": "error",
    },
  },
  {
    files: ["src/**/*.{ts,tsx}"],
    extends: [reactHooks.configs.flat.recommended],
    rules: {
      "no-restricted-imports": [
        "error",
        { patterns: [{ group: ["@tauri-apps/*"], message: "What is native goes through src/platform." }] },
      ],
      "no-restricted-globals": [
        "error",
        { name: "fetch", message: "What is native goes through src/platform." },
        { name: "sessionStorage", message: "What is native goes through src/platform." },
      ],
    },
  },
  {
    files: ["src/platform/**/*.{ts,tsx}"],
    rules: { "no-restricted-imports": "off", "no-restricted-globals": "off" },
  },
  {
    // Made-up data and tests know what is in them.
    files: ["src/mock/**", "src/platform/mock.ts", "**/*.test.{ts,tsx}", "tests/**"],
    rules: { "@typescript-eslint/no-non-null-assertion": "off" },
  },
  {
    files: ["**/*.{js,mjs}"],
    languageOptions: {
      globals: { console: "readonly", process: "readonly", URL: "readonly", document: "readonly", window: "readonly" },
    },
  },
);
