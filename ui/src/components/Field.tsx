import type { ReactNode, Ref } from "react";
import type { KeyboardEvent } from "react-aria-components";
import { FieldError } from "react-aria-components/FieldError";
import { Input } from "react-aria-components/Input";
import { Label } from "react-aria-components/Label";
import { RadioButton, RadioField, RadioGroup } from "react-aria-components/RadioGroup";
import { SwitchButton, SwitchField } from "react-aria-components/Switch";
import { Text } from "react-aria-components/Text";
import { TextArea } from "react-aria-components/TextArea";
import { TextField as AriaTextField } from "react-aria-components/TextField";

import styles from "./Field.module.css";

/** A line or a block of text, with what it means and what is wrong with it. */
export function TextField({
  label,
  value,
  onChange,
  hint,
  error,
  type = "text",
  mono = false,
  lines = 1,
  placeholder,
  autoFocus = false,
  inputMode,
  inputRef,
  areaRef,
  onKeyDown,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  hint?: ReactNode;
  error?: string | null;
  type?: "text" | "password" | "url";
  mono?: boolean;
  lines?: number;
  placeholder?: string;
  autoFocus?: boolean;
  /** Which keyboard a touch screen shows. */
  inputMode?: "numeric" | "decimal";
  inputRef?: Ref<HTMLInputElement>;
  areaRef?: Ref<HTMLTextAreaElement>;
  onKeyDown?: (event: KeyboardEvent) => void;
}) {
  const wrong = error !== undefined && error !== null;
  const className = `${styles.input} ${mono ? styles.mono : ""}`;
  return (
    <AriaTextField
      className={styles.field ?? ""}
      value={value}
      onChange={onChange}
      type={type}
      isInvalid={wrong}
      autoComplete="off"
      spellCheck="false"
      {...(inputMode === undefined ? {} : { inputMode })}
      {...(onKeyDown === undefined ? {} : { onKeyDown })}
      // A field that just appeared because a person asked for it.
      autoFocus={autoFocus}
    >
      <Label className={styles.label ?? ""}>{label}</Label>
      {lines > 1 ? (
        <TextArea
          className={className}
          rows={lines}
          {...(areaRef === undefined ? {} : { ref: areaRef })}
          {...(placeholder === undefined ? {} : { placeholder })}
        />
      ) : (
        <Input
          className={className}
          {...(inputRef === undefined ? {} : { ref: inputRef })}
          {...(placeholder === undefined ? {} : { placeholder })}
        />
      )}
      {hint !== undefined && (
        <Text slot="description" className={styles.hint ?? ""}>
          {hint}
        </Text>
      )}
      {wrong && <FieldError className={styles.error ?? ""}>{error}</FieldError>}
    </AriaTextField>
  );
}

/** On or off, at once. */
export function Switch({
  label,
  hint,
  isSelected,
  onChange,
  isDisabled = false,
}: {
  label: string;
  hint?: string;
  isSelected: boolean;
  onChange: (selected: boolean) => void;
  isDisabled?: boolean;
}) {
  return (
    <SwitchField className={styles.switchField ?? ""} isSelected={isSelected} onChange={onChange} isDisabled={isDisabled}>
      <SwitchButton className={styles.switch ?? ""}>
        <span className={styles.track}>
          <span className={styles.thumb} />
        </span>
        <span className={styles.label}>{label}</span>
      </SwitchButton>
      {hint !== undefined && (
        <Text slot="description" className={styles.hint ?? ""}>
          {hint}
        </Text>
      )}
    </SwitchField>
  );
}

/** One of a few. */
export function Choice<T extends string>({
  label,
  hideLabel = false,
  value,
  onChange,
  options,
}: {
  label: string;
  hideLabel?: boolean;
  value: T;
  onChange: (value: T) => void;
  options: { value: T; label: string }[];
}) {
  return (
    <RadioGroup
      className={styles.field ?? ""}
      value={value}
      onChange={(next) => onChange(next as T)}
      orientation="horizontal"
      {...(hideLabel ? { "aria-label": label } : {})}
    >
      {!hideLabel && <Label className={styles.label ?? ""}>{label}</Label>}
      <div className={styles.radios}>
        {options.map((option) => (
          <RadioField key={option.value} value={option.value} className="">
            <RadioButton className={styles.radio ?? ""}>{option.label}</RadioButton>
          </RadioField>
        ))}
      </div>
    </RadioGroup>
  );
}
