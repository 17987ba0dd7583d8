import type { ReactNode } from "react";
import { Button as AriaButton } from "react-aria-components/Button";
import { FieldError } from "react-aria-components/FieldError";
import { Label } from "react-aria-components/Label";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Popover } from "react-aria-components/Popover";
import { Select as AriaSelect, SelectValue } from "react-aria-components/Select";
import { Text } from "react-aria-components/Text";

import fields from "./Field.module.css";
import { Icon } from "./Icon";
import styles from "./Select.module.css";

/** One of many, which open below. */
export function Select<T extends string>({
  label,
  hideLabel = false,
  value,
  onChange,
  options,
  placeholder = "Choose",
  hint,
  error,
  small = false,
  isDisabled = false,
}: {
  label: string;
  hideLabel?: boolean;
  /** `null` while none is chosen. */
  value: T | null;
  onChange: (value: T) => void;
  options: { value: T; label: string }[];
  placeholder?: string;
  hint?: ReactNode;
  error?: string | null;
  small?: boolean;
  isDisabled?: boolean;
}) {
  const wrong = error !== undefined && error !== null;
  return (
    <AriaSelect
      className={fields.field ?? ""}
      value={value}
      onChange={(next) => {
        if (next !== null) onChange(next as T);
      }}
      placeholder={placeholder}
      isInvalid={wrong}
      isDisabled={isDisabled}
      {...(hideLabel ? { "aria-label": label } : {})}
    >
      {!hideLabel && <Label className={fields.label ?? ""}>{label}</Label>}
      <AriaButton className={`${styles.button} ${small ? styles.small : ""}`}>
        <SelectValue className={styles.value ?? ""} />
        <Icon name="down" size={14} />
      </AriaButton>
      {hint !== undefined && (
        <Text slot="description" className={fields.hint ?? ""}>
          {hint}
        </Text>
      )}
      {wrong && <FieldError className={fields.error ?? ""}>{error}</FieldError>}
      <Popover className={styles.popover ?? ""} offset={4}>
        <ListBox className={styles.list ?? ""}>
          {options.map((option) => (
            <ListBoxItem key={option.value} id={option.value} textValue={option.label} className={styles.option ?? ""}>
              {({ isSelected }) => (
                <>
                  <span>{option.label}</span>
                  {isSelected && <Icon name="check" size={14} />}
                </>
              )}
            </ListBoxItem>
          ))}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}
