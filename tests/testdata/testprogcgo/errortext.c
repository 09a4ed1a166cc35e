/* An error message that lives in C. */

const char *error_text(void)
{
	return "cgo error";
}
