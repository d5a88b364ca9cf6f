from __future__ import annotations

from django import forms
from django.contrib.auth.forms import UserCreationForm

from .basket import MOST
from .models import Customer, Order


class QuantityForm(forms.Form):
    quantity = forms.IntegerField(min_value=1, max_value=MOST, initial=1)


class CouponForm(forms.Form):
    code = forms.CharField(label="Coupon", max_length=20, widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def clean_code(self) -> str:
        return str(self.cleaned_data["code"]).upper()


class OrderForm(forms.ModelForm):
    class Meta:
        model = Order
        fields = ["recipient", "address", "payment"]
        widgets = {
            "recipient": forms.TextInput(attrs={"autocomplete": "name"}),
            "address": forms.Textarea(attrs={"rows": 4, "autocomplete": "street-address"}),
            "payment": forms.RadioSelect,
        }


class SignUpForm(UserCreationForm):
    class Meta:
        model = Customer
        fields = ["username", "newsletter"]
        help_texts = {"username": ""}
